"""A crash or a broken connection at every statement of relay, inbox, and what deletes old messages: each has
its effect once, in its order (F56, F60, F64).
"""

from __future__ import annotations

import pytest
from django.db import connection

from django_saga import publish
from django_saga.core.flows import FLOW_FAILED
from django_saga.models import InboxMessage, OutboxMessage
from django_saga.testing import assert_message_invariants
from tests.models import Effect
from tests.sweep.points import DROPS, KILLS

pytestmark = [pytest.mark.fault("F56"), pytest.mark.crash, pytest.mark.django_db(transaction=True)]


def post(key):
    for n in range(3):
        publish("test.noted", {"n": n}, key=key)


@pytest.mark.fault("F60")
@pytest.mark.parametrize("mode", [*KILLS, *DROPS])
def test_messages_are_sent_and_handled_once_in_their_order_whatever_happens_on_the_way(fork, ledger, mode):
    if mode in DROPS and connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection that could be lost")
    post("first")
    fork.run("by_post", mode="nothing", at=0)  # makes the rows that are made once
    post("unharmed")
    keys = ["first", "unharmed"]

    for at, point in fork.points(mode, "by_post"):
        key = f"{at} {point[-150:]}"
        post(key)
        fork.strike(mode, at, "by_post")
        fork.run("finish_post")
        keys.append(key)

    assert len(keys) > 10
    for key in keys:
        kinds = Effect.objects.filter(key=key).order_by("id").values_list("kind", flat=True)
        assert list(kinds) == ["0", "1", "2"], key
    assert set(OutboxMessage.objects.values_list("status", flat=True)) == {"published"}
    assert set(InboxMessage.objects.values_list("status", flat=True)) == {"done"}


@pytest.mark.fault("F64")
@pytest.mark.parametrize("mode", [*KILLS, *DROPS])
def test_pruning_takes_nothing_that_is_not_done_and_lets_no_duplicate_in_wherever_it_ends(fork, ledger, mode):
    if mode in DROPS and connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection that could be lost")
    post("first")
    fork.run("finish_post")
    keys = []

    for at, point in fork.points(mode, "by_pruning"):
        key = f"{at} {point[-150:]}"
        post(key)
        fork.run("finish_post")
        sent = list(OutboxMessage.objects.filter(key=key))
        publish("test.noted", {"n": 3}, key=key)
        publish("test.noted", {"n": 0, "do": "fail"}, key=f"dead {key}")
        fork.strike(mode, at, "by_pruning")
        fork.run("by_pruning", mode="nothing", at=0)
        assert list(OutboxMessage.objects.filter(key=key).values_list("number", flat=True)) == [4]
        assert not InboxMessage.objects.filter(key=key).exists()
        OutboxMessage.objects.bulk_create(sent)
        OutboxMessage.objects.filter(key=key).update(status="pending")
        keys.append(key)

    fork.run("finish_post")
    assert len(keys) > 1
    for key in keys:
        kinds = Effect.objects.filter(key=key).order_by("id").values_list("kind", flat=True)
        assert list(kinds) == ["0", "1", "2", "3"], key
        assert InboxMessage.objects.get(key=f"dead {key}").status == "dead"


@pytest.mark.fault("F60")
@pytest.mark.parametrize("mode", [*KILLS, *DROPS])
def test_a_flow_that_fails_is_undone_once_whatever_happens_on_the_way(fork, ledger, mode):
    if mode in DROPS and connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection that could be lost")
    publish("sweep.flow.asked", {}, key="first")
    fork.run("by_flow", mode="nothing", at=0)  # makes the rows that are made once
    publish("sweep.flow.asked", {}, key="unharmed")
    keys = ["first", "unharmed"]

    for at, point in fork.points(mode, "by_flow"):
        key = f"{at} {point[-150:]}"
        publish("sweep.flow.asked", {}, key=key)
        fork.strike(mode, at, "by_flow")
        fork.run("finish_flow")
        keys.append(key)

    assert len(keys) > 20
    for key in keys:
        kinds = list(Effect.objects.filter(key=key).order_by("id").values_list("kind", flat=True))
        assert kinds[:2] == ["seat", "room"], key
        assert sorted(kinds[2:]) == ["no room", "no seat"], key
    assert set(OutboxMessage.objects.values_list("status", flat=True)) == {"published"}
    # Consumers of other tests get the failure too, and are left out of the sweep.
    mine = InboxMessage.objects.filter(consumer__startswith="sweep.")
    assert set(mine.values_list("topic", "status")) == {
        ("sweep.flow.asked", "undone"),
        ("sweep.flow.seated", "undone"),
        ("sweep.flow.housed", "failed"),
        (FLOW_FAILED, "done"),
    }
    assert_message_invariants()
