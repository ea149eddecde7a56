"""The checker finds what it is there to find."""

from __future__ import annotations

from dataclasses import replace

from django_saga.testing.post import messages_of
from tests.brokers.log import NOTHING, Findings, check

SENT = messages_of("t", 6, keys=2)
COMMITTED = {(each.stream or "", each.number): each.id for each in SENT}


def test_what_is_as_it_should_be_passes_though_it_comes_twice():
    assert check(COMMITTED, [*SENT[:4], *SENT]) == NOTHING


def test_each_fault_is_found():
    a, b, *_ = SENT
    ghost = replace(a, number=9)
    other = replace(a, id="another")

    assert check(COMMITTED, SENT[1:]) == Findings([("t:k0", 1)], [], [], [])
    assert check(COMMITTED, [*SENT, ghost]) == Findings([], [("t:k0", 9)], [], [])
    assert check(COMMITTED, [b, *SENT[2:], a]) == Findings([], [], [("t:k0", 1)], [])
    assert check(COMMITTED, [*SENT, other]) == Findings([], [], [], [("t:k0", 1)])
