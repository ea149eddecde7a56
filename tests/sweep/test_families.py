"""A crash or a broken connection at every statement of a saga that starts others, and of theirs: each item is
done once, in one saga, and undone once if the saga turns back.

What is the same for each item is struck at its first and its last one; every commit is struck.
"""

from __future__ import annotations

from collections import Counter

import pytest
from django.db import connection

from django_saga.models import SagaInstance, SagaStep
from tests.sweep.expectations import Canonical, check
from tests.sweep.points import DROPS, KILLS, Mode
from tests.sweep.test_sweep import struck_at_each_point

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

ORDERS = ["a", "b", "c"]
DONE = Canonical(
    "family done",
    "sweep_family",
    {"orders": ORDERS, "fails": False},
    "completed",
    inside=frozenset({"keep:do"}),
    outside=frozenset(),
    order=(("keep:do", "last:do"),),
    silent=frozenset({"last:do"}),
)
UNDONE = Canonical(
    "family undone",
    "sweep_family",
    {"orders": ORDERS, "fails": True},
    "compensated",
    inside=frozenset({"keep:do", "keep:undo"}),
    outside=frozenset(),
    order=(("keep:do", "last:do"), ("last:do", "keep:undo")),
    silent=frozenset({"last:do"}),
)


@pytest.mark.parametrize("canonical", [DONE, UNDONE], ids=lambda canonical: canonical.title)
@pytest.mark.parametrize("mode", [*KILLS, *DROPS])
def test_each_item_is_one_saga_and_done_and_undone_whatever_strikes(fork, ledger, canonical, mode: Mode):
    if mode in DROPS and connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection that could be lost")
    keys = struck_at_each_point(fork, "with_children", canonical, mode, again=False)

    fork.finish(canonical, keys)

    check(canonical, keys, ledger)
    calls = {str(line.key).partition(":")[0]: Counter[str]() for line in ledger.lines("call")}
    for line in ledger.lines("call"):
        calls[line.key.partition(":")[0]][line.step] += 1
    wanted = {"ask:do"} if canonical is DONE else {"ask:do", "ask:undo"}
    for step_id in SagaStep.objects.filter(name="calls").values_list("pk", flat=True):
        children = SagaInstance.objects.filter(parent_step=step_id).order_by("pk")
        assert [child.input for child in children] == ORDERS
        assert {child.status for child in children} == {canonical.status}
        assert all(set(calls[str(child.pk)]) == wanted for child in children)
