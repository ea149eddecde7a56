"""Limits hold over all worker processes, and a killed one gives its places back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import pytest

from django_saga.models import SagaGate, SagaStep
from tests.ledger import Line
from tests.processes import wait_until
from tests.sagas.limit_sagas import LimitAsync, LimitCircuit, LimitFew, LimitRate
from tests.worker.looking import ended

pytestmark = [
    pytest.mark.crash,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]


def most_at_once(lines: Sequence[Line]) -> int:
    """How many calls were under way at once, at most: each is a line when it begins and when it ends."""
    steps = {"begin": 1, "end": -1}
    return max(accumulate(steps.get(line.kind, 0) for line in lines))


def test_no_more_are_under_way_in_two_workers_than_the_limit(worker, ledger):
    sagas = LimitFew.bulk_start([{"call": "wait bank"}] * 40)
    asked = LimitAsync.bulk_start([{"ask": "wait bank"}] * 20)
    worker("--processes", "2")
    worker("--processes", "1")
    wait_until(lambda: len(ledger.lines("begin")) >= 3 + 2)
    ledger.open("bank")

    assert set(ended(*sagas, *asked)) == {"completed"}

    assert most_at_once([line for line in ledger.lines() if ":call:" in line.key]) == 3
    assert most_at_once([line for line in ledger.lines() if ":ask:" in line.key]) == 2


def test_a_limit_is_used_up_and_does_not_wait_for_polls(worker, ledger):
    sagas = LimitFew.bulk_start([{"call": "wait bank"}] * 3 + [{}] * 40)
    worker("--processes", "2", env={"DJANGO_SAGA_POLL_INTERVAL": "30"})

    wait_until(lambda: len(ledger.lines("begin")) >= 3)
    ledger.open("bank")

    assert set(ended(*sagas, timeout=25)) == {"completed"}


def test_a_killed_worker_gives_its_places_back(worker, ledger):
    sagas = LimitFew.bulk_start([{"call": "wait bank"}] * 6)
    first = worker()
    wait_until(lambda: len(ledger.lines("begin")) == 3)
    first.kill9()
    ledger.open("bank")
    worker()

    assert set(ended(*sagas)) == {"completed"}
    assert len(ledger.lines("begin")) == 6 + 3


def test_no_more_begin_in_any_second_than_the_rate_allows_and_it_is_used_up(worker, ledger):
    sagas = LimitRate.bulk_start([{}] * 17)
    worker("--processes", "2")
    worker()

    assert set(ended(*sagas)) == {"completed"}

    claimed = SagaStep.objects.filter(name="call", claimed_at__isnull=False)
    begun = [row.claimed_at for row in claimed.order_by("claimed_at") if row.claimed_at]
    for first, sixth in zip(begun, begun[5:], strict=False):
        assert (sixth - first).total_seconds() >= 1


def test_a_circuit_spares_the_other_side_in_all_workers_and_closes_when_it_answers(worker, ledger):
    sagas = LimitCircuit.bulk_start([{}] * 30)
    process = worker("--processes", "2")
    gates = SagaGate.objects.filter(saga="limit_circuit")
    wait_until(gates.filter(probed_at__isnull=False).exists)  # opened, and tried again once
    ledger.open("bank")

    assert set(ended(*sagas)) == {"completed"}
    assert not gates.filter(open_until__isnull=False).exists()
    process.wait_for_line(r"WARNING .* the circuit of limit_circuit\.call opens: .* until \d{4}-")
    process.wait_for_line(r"INFO .* the circuit of limit_circuit\.call closes: a trial was answered")
    assert len(ledger.lines("do")) == 30
