"""What is dead of sagas among the dead letters: forty that are stuck for one cause are one group, and one
button has them all tried again.
"""

from __future__ import annotations

import pytest
from django.urls import reverse

from django_saga import operations
from django_saga.engine import settling
from django_saga.exceptions import LetterNotFound
from django_saga.models import SagaOperation, SagaStep
from django_saga.testing import SagaLab
from tests.admin.page import Page, row_url
from tests.commands.screen import written

pytestmark = pytest.mark.django_db
LIST = "/admin/django_saga/inboxmessage/dead/"


@pytest.fixture
def lab(sagas, world):
    world["refund"] = "account {saga} is locked"
    with SagaLab() as lab:
        yield lab


def stuck(lab, saga, number):
    handles = [saga.start() for _ in range(number)]
    lab.run()
    assert {handle.status for handle in handles} == {"stuck"}
    return handles


def ask(action: str, query: str = "") -> str:
    return reverse(f"admin:django_saga_{action}_letters") + query


def group_link(page: Page, action: str) -> str:
    [link] = [each for each in page.links if each.startswith(f"{ask(action)}?fingerprint=")]
    return link


def names(page: Page) -> list[str]:
    return page.html.count('name="letter" value="compensation:') * ["compensation"] + page.html.count(
        'name="letter" value="step:'
    ) * ["step"]


def test_a_night_of_stuck_sagas_is_one_group_that_one_button_brings_to_its_end(boss, look, lab, sagas, world):
    handles = stuck(lab, sagas.order, 4)
    page = look(LIST)
    assert "RuntimeError" in page.text
    assert "4 letters" in page.text
    question = look(group_link(page, "requeue"))
    assert names(question) == ["compensation"] * 4
    assert "Compensations and steps run again with the key that they had." in question.text

    world["refund"] = None
    letters = [f"compensation:{row.pk}" for row in SagaStep.objects.filter(name="charge")]
    boss.post(ask("requeue"), {"letter": letters, "why": "unlocked"})
    lab.run()
    settling.settle("default")

    assert {handle.status for handle in handles} == {"compensated"}
    told = SagaOperation.objects.values_list("action", "actor", "why", "result", "detail")
    assert set(told) == {("retry compensation", "boss", "unlocked", "done", "attempt 1 succeeded")}
    assert "There are no dead letters." in look(LIST).text


def test_steps_that_are_dead_past_the_pivot_are_there_too(boss, look, lab, sagas, world):
    one, other = stuck(lab, sagas.sent, 2)
    page = look(LIST)
    assert [row[0] for row in page.rows if row and row[0] == "step"] == ["step", "step"]
    assert page.leads_to(row_url("sagainstance", one.id))
    assert names(look(group_link(page, "discard"))) == ["step", "step"]

    of = {each.saga_id: f"step:{each.pk}" for each in SagaStep.objects.filter(name="tell")}
    boss.post(ask("discard"), {"letter": of[one.id], "why": "by phone"})
    world["tell"] = None
    boss.post(ask("requeue"), {"letter": of[other.id], "why": ""})
    lab.run()

    assert (one.status, other.status) == ("completed", "completed")
    assert list(SagaOperation.objects.order_by("pk").values_list("action", flat=True)) == [
        "skip step",
        "retry step",
    ]


@pytest.mark.parametrize(
    ("code", "can"),
    [("retry_saga", {"requeue"}), ("skip_step", {"discard"}), ("requeue_inboxmessage", set())],
)
def test_what_is_done_with_them_takes_the_permission_for_steps(as_clerk, lab, code, can, sagas):
    stuck(lab, sagas.order, 2)
    browser = as_clerk("view_sagastep", code)
    page = Page.of(browser.get(LIST))
    letter = f"compensation:{SagaStep.objects.filter(name='charge').earliest('pk').pk}"

    for action in ("requeue", "discard"):
        assert any(ask(action) in link for link in page.links) is (action in can)
        if action not in can:
            assert browser.get(ask(action)).status_code == 403
            assert browser.post(ask(action), {"letter": letter, "why": "x"}).status_code == 403
    assert SagaOperation.objects.count() == 0


def test_one_that_somebody_else_was_faster_with_is_refused_and_said(boss, look, lab, sagas):
    [handle] = stuck(lab, sagas.order, 1)
    letter = f"compensation:{SagaStep.objects.get(saga_id=handle.id, name='charge').pk}"
    operations.skip_compensation(handle.id, "charge", by="ada", why="by hand")

    assert f"Not dead any more, or not there: {letter}" in look(ask("requeue", f"?letter={letter}")).text
    boss.post(ask("requeue"), {"letter": letter, "why": ""})

    assert SagaOperation.objects.latest("pk").result == "refused"
    assert f"Retry compensation refused for saga order {handle.id}" in look(LIST).text


def test_the_command_has_them_tried_again_too(lab, sagas, world):
    [handle] = stuck(lab, sagas.sent, 1)
    world["tell"] = None
    letter = f"step:{SagaStep.objects.get(saga_id=handle.id, name='tell').pk}"

    assert letter in written("saga_requeue", "--box", "step")
    assert written("saga_requeue", letter, "--by", "ann") == f"Requeued {letter}.\n"
    lab.run()

    assert handle.status == "completed"
    with pytest.raises(LetterNotFound, match="There is no step:01a1fb8d"):
        operations.requeue("step:01a1fb8d-9c0b-7f7e-a1fe-83c1bbb36aa6", by="ann")
