"""What the commands say of locks: who holds what, who waits for it, and that a saga takes any."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_saga.store import clock
from tests.commands.rows import a_definition, a_lock, a_saga, a_step
from tests.commands.screen import document, settled, written
from tests.sagas.lock_sagas import LockRefuseSaga, LockStuckSaga, LockWaitSaga, Parcel

pytestmark = pytest.mark.django_db


def show(saga):
    return settled(written("saga_show", str(saga.id)))


def where(*arguments):
    return {saga["id"]: saga["where"] for saga in document("saga_list", *arguments)["sagas"]}


def test_a_saga_shows_the_locks_it_holds():
    holder = LockRefuseSaga.start(Parcel(["1", "2"]))

    assert (
        "  locks     holds order:1 since <time> (<span> ago)\n"
        "            holds order:2 since <time> (<span> ago)\n"
        "  input     " in show(holder)
    )


# On InnoDB a saga that may wait is let in once its start is committed.
@pytest.mark.django_db(transaction=True)
def test_a_saga_that_waits_shows_for_what_and_who_has_it():
    holder = LockWaitSaga.start(Parcel(["1"]))
    second, third = LockWaitSaga.start(Parcel(["1"])), LockWaitSaga.start(Parcel(["0", "1"]))

    told = written("saga_show", str(third.id))

    head, rest = settled(told).split("  input")
    assert head == (
        "○ pending  lock_wait v1  <id>\n"
        "  started   <time> (<span> ago)\n"
        "  locks     waits for lock order:0, since <time> (<span> ago)\n"
        "            waits for lock order:1 held by lock_wait <id>, 1 other before it, "
        "since <time> (<span> ago)\n"
    )
    assert rest.endswith("\n\nSteps\n├─ · pack  to come\n└─ · send  to come\n")
    assert f"held by lock_wait {holder.id}, 1 other before it" in told
    assert where()[str(second.id)] == f"waits for lock order:1 held by lock_wait {holder.id}"
    assert where()[str(third.id)] == (
        f"waits for lock order:0; waits for lock order:1 held by lock_wait {holder.id}"
    )


def test_a_saga_that_got_its_locks_says_when(ledger):
    holder = LockWaitSaga.start(Parcel(["1"]))
    waiting = LockWaitSaga.start(Parcel(["1"]), idempotency_key="k")
    holder.cancel()
    LockWaitSaga.run(Parcel(["1"]), idempotency_key="k")

    assert "Turns\n  <time>  got its locks\n" in show(waiting)


@pytest.mark.django_db(transaction=True)
def test_locks_are_in_the_document():
    holder, waiting = LockWaitSaga.start(Parcel(["1"])), LockWaitSaga.start(Parcel(["1"]))

    [held], [waits] = (document("saga_show", str(saga.id))["locks"] for saga in (holder, waiting))

    assert (held.pop("since") < waits.pop("since")) is True
    assert held == {"target": "order:1", "held": True, "holder": None, "ahead": 0}
    assert waits == {
        "target": "order:1",
        "held": False,
        "holder": {"id": str(holder.id), "saga": "lock_wait", "status": "running"},
        "ahead": 0,
    }
    assert document("saga_show", str(a_saga().pk))["locks"] == []


def test_a_saga_that_will_stand_in_line_says_when():
    later = LockWaitSaga.start(Parcel(["1"]), run_at=timedelta(hours=2, seconds=30))

    assert where()[str(later.id)] == "asks for lock order:1 in 2 h"
    assert "  locks     asks for lock order:1 in <span>\n  input" in show(later)


def test_a_stuck_saga_tells_what_it_keeps_and_whoever_waits_for_it_whom_to_mend(ledger):
    stuck = LockStuckSaga.run(Parcel(["1"], fails=True))
    waiting = LockWaitSaga.start(Parcel(["1"]))

    [_, kept] = document("saga_show", str(stuck.id))["advice"]
    [barred] = document("saga_show", str(waiting.id))["advice"]

    assert kept == "Until then it keeps its locks: order:1. Sagas that ask for one are refused, or wait."
    assert barred == (
        f"order:1 is held by saga lock_stuck {stuck.id}, which is stuck: it waits until a person has "
        "brought that one to its end."
    )


def test_a_saga_that_no_worker_lets_in_asks_for_one():
    definition = a_definition("locking", lock_policy="wait")
    saga = a_saga("pending", definition=definition)
    since = clock.now("default") - timedelta(hours=2, seconds=20)
    [first, _] = (a_lock(saga, target, held=False, since=since) for target in ("order:1", "order:2"))
    said = (
        "It has waited for 2 h, what it waits for (order:1, order:2) is free, and no worker has let it in: "
        "does a saga_worker run that knows this saga?"
    )

    assert said in document("saga_show", str(saga.pk))["advice"]
    before = a_saga("pending", definition=definition)
    a_lock(before, first.target, held=False, since=since - timedelta(seconds=1))
    assert said not in document("saga_show", str(saga.pk))["advice"]


def test_no_stored_target_moves_the_cursor():
    saga = a_saga("running", definition=a_definition("locking", lock_policy="refuse"))
    a_step(saga)
    a_lock(saga, "order\x1b[2J\u202e")

    assert "\x1b[2J" not in written("saga_show", str(saga.pk))
    assert "\u202e" not in written("saga_show", str(saga.pk))


def test_a_list_asks_about_locks_once_and_only_for_sagas_that_may_wait():
    def queries():
        with CaptureQueriesContext(connection) as captured:
            written("saga_list")
        return sum("sagalock" in query["sql"] for query in captured)

    a_saga("running")
    assert queries() == 0
    holder = a_saga("running", definition=a_definition("locking", lock_policy="wait"))
    a_lock(holder)
    for _ in range(5):
        a_lock(a_saga("pending", definition=holder.definition), held=False, since=clock.now("default"))
    assert queries() == 2


@pytest.mark.parametrize(
    ("saga", "said"), [("lock_refuse", "locks - or is refused"), ("lock_wait", "locks - or waits")]
)
def test_the_graph_of_a_saga_that_takes_locks_begins_with_them(saga, said):
    drawn = written("saga_graph", saga)

    assert drawn.startswith(
        f'%% {saga} v1\nflowchart TD\n    locks{{{{"{said}"}}}}\n    s1["pack"]\n    s2["send"]\n'
        "    locks --> s1\n    s1 --> s2\n"
    )


def test_the_graph_in_the_database_knows_of_locks_too():
    a_definition("gone", steps=[("only", (), "")], lock_policy="wait")

    assert written("saga_graph", "gone") == (
        '%% gone v1\nflowchart TD\n    locks{{"locks - or waits"}}\n    s1["only"]\n    locks --> s1\n'
    )
