"""Which points are struck: all that can leave something behind of its own, and on a server no others."""

from __future__ import annotations

import pytest

from tests.sweep.points import Mode, Point, worth_a_blow

# Two transactions; in the first one something is done outside.
PASSED = [
    Point("read", lasting=False, outside=0),
    Point("lock", lasting=False, outside=0),
    Point("write", lasting=False, outside=7),
    Point("COMMIT", lasting=True, outside=7),
    Point("look", lasting=True, outside=7),
    Point("write", lasting=False, outside=7),
    Point("write", lasting=False, outside=7),
    Point("write", lasting=False, outside=9),
    Point("COMMIT", lasting=True, outside=9),
    Point("unlock", lasting=False, outside=9),
]
EVERY = [*range(1, 11)]


def before(at: int) -> tuple[int, int]:
    """What is left of a process that dies before point ``at``, when a server rolls back what was open."""
    return sum(point.lasting for point in PASSED[: at - 1]), PASSED[at - 1].outside


def test_deaths_on_a_server_leave_everything_behind_that_deaths_at_every_statement_do():
    struck = worth_a_blow(PASSED, Mode.KILL_BEFORE, again=True, server=True)

    assert struck == [2, 4, 5, 7, 9, 10]
    assert [before(at) for at in struck] == list(dict.fromkeys(before(at) for at in EVERY))


@pytest.mark.parametrize(("mode", "server"), [(Mode.KILL_BEFORE, False), (Mode.DROP_BEFORE, True)])
def test_without_a_server_and_where_the_process_lives_on_every_statement_is_struck(mode, server):
    assert worth_a_blow(PASSED, mode, again=True, server=server) == EVERY


@pytest.mark.parametrize("mode", [Mode.KILL_AFTER, Mode.LOSE_REPLY])
@pytest.mark.parametrize("server", [True, False])
def test_after_a_statement_a_blow_is_worth_it_where_something_lasts(mode, server):
    assert worth_a_blow(PASSED, mode, again=True, server=server) == [4, 5, 9]


def test_of_what_comes_again_the_first_and_the_last_are_struck_and_whatever_lasts():
    struck = worth_a_blow(PASSED, Mode.DROP_BEFORE, again=False, server=True)

    assert struck == [1, 2, 3, 4, 5, 8, 9, 10]
    # The death that stands for these at the end of its stretch is not left out because of its words.
    assert worth_a_blow(PASSED, Mode.KILL_BEFORE, again=False, server=True) == [2, 4, 5, 9, 10]
