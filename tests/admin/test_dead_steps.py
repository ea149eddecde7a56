"""What is dead of sagas among the dead letters: forty that are stuck for one cause are one group, and one
button has them all tried again.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.urls import reverse

from django_saga import PermanentFailure, Retry, Saga, operations, step
from django_saga.dsl.registry import registry
from django_saga.engine import settling
from django_saga.exceptions import LetterNotFound
from django_saga.models import SagaOperation, SagaStep
from django_saga.testing import SagaLab
from tests.admin.page import Page, row_url
from tests.commands.screen import written

pytestmark = pytest.mark.django_db
LIST = "/admin/django_saga/inboxmessage/dead/"


@pytest.fixture
def broken():
    """Names of what fails."""
    return {"refund", "tell"}


@pytest.fixture
def lab(broken):
    with registry.isolated(), SagaLab() as lab:

        class OrderSaga(Saga):
            @step
            def charge(self, ctx):
                pass

            @charge.compensation(retry=Retry(attempts=1))
            def refund(self, ctx):
                if "refund" in broken:
                    raise RuntimeError(f"account {ctx.saga_id} is locked")

            @step(no_compensation=True)
            def ship(self, ctx):
                raise PermanentFailure("no parcels today")

        class SentSaga(Saga):
            @step(pivot=True, no_compensation=True)
            def send(self, ctx):
                pass

            @step(no_compensation=True)
            def tell(self, ctx):
                if "tell" in broken:
                    raise PermanentFailure("nobody is there")

        yield SimpleNamespace(run=lab.run, order=OrderSaga, sent=SentSaga)


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


def test_a_night_of_stuck_sagas_is_one_group_that_one_button_brings_to_its_end(boss, look, lab, broken):
    handles = stuck(lab, lab.order, 4)
    page = look(LIST)
    assert "RuntimeError" in page.text
    assert "4 letters" in page.text
    question = look(group_link(page, "requeue"))
    assert names(question) == ["compensation"] * 4
    assert "Compensations and steps run again with the key that they had." in question.text

    broken.remove("refund")
    letters = [f"compensation:{row.pk}" for row in SagaStep.objects.filter(name="charge")]
    boss.post(ask("requeue"), {"letter": letters, "why": "unlocked"})
    lab.run()
    settling.settle("default")

    assert {handle.status for handle in handles} == {"compensated"}
    told = SagaOperation.objects.values_list("action", "actor", "why", "result", "detail")
    assert set(told) == {("retry compensation", "boss", "unlocked", "done", "attempt 1 succeeded")}
    assert "There are no dead letters." in look(LIST).text


def test_steps_that_are_dead_past_the_pivot_are_there_too(boss, look, lab, broken):
    one, other = stuck(lab, lab.sent, 2)
    page = look(LIST)
    assert [row[0] for row in page.rows if row and row[0] == "step"] == ["step", "step"]
    assert page.leads_to(row_url("sagainstance", one.id))
    assert names(look(group_link(page, "discard"))) == ["step", "step"]

    of = {each.saga_id: f"step:{each.pk}" for each in SagaStep.objects.filter(name="tell")}
    boss.post(ask("discard"), {"letter": of[one.id], "why": "by phone"})
    broken.remove("tell")
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
def test_what_is_done_with_them_takes_the_permission_for_steps(as_clerk, lab, code, can):
    stuck(lab, lab.order, 2)
    browser = as_clerk("view_sagastep", code)
    page = Page.of(browser.get(LIST))
    letter = f"compensation:{SagaStep.objects.filter(name='charge').earliest('pk').pk}"

    for action in ("requeue", "discard"):
        assert any(ask(action) in link for link in page.links) is (action in can)
        if action not in can:
            assert browser.get(ask(action)).status_code == 403
            assert browser.post(ask(action), {"letter": letter, "why": "x"}).status_code == 403
    assert SagaOperation.objects.count() == 0


def test_one_that_somebody_else_was_faster_with_is_refused_and_said(boss, look, lab):
    [handle] = stuck(lab, lab.order, 1)
    letter = f"compensation:{SagaStep.objects.get(saga_id=handle.id, name='charge').pk}"
    operations.skip_compensation(handle.id, "charge", by="ada", why="by hand")

    assert f"Not dead any more, or not there: {letter}" in look(ask("requeue", f"?letter={letter}")).text
    boss.post(ask("requeue"), {"letter": letter, "why": ""})

    assert SagaOperation.objects.latest("pk").result == "refused"
    assert f"Retry compensation refused for saga order {handle.id}" in look(LIST).text


def test_the_command_has_them_tried_again_too(lab, broken):
    [handle] = stuck(lab, lab.sent, 1)
    broken.remove("tell")
    letter = f"step:{SagaStep.objects.get(saga_id=handle.id, name='tell').pk}"

    assert letter in written("saga_requeue", "--box", "step")
    assert written("saga_requeue", letter, "--by", "ann") == f"Requeued {letter}.\n"
    lab.run()

    assert handle.status == "completed"
    with pytest.raises(LetterNotFound, match="There is no step:01a1fb8d"):
        operations.requeue("step:01a1fb8d-9c0b-7f7e-a1fe-83c1bbb36aa6", by="ann")
