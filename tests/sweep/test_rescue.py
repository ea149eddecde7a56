"""Whoever takes over from a lost process may be lost in turn, at every statement of the rescue."""

from __future__ import annotations

import pytest
from django.db import connection

from tests.sweep.expectations import CANONICAL, check
from tests.sweep.points import Mode

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

BY_TITLE = {canonical.title: canonical for canonical in CANONICAL}
LOST_WHILE = {
    "a call had just been made": ("linear done", "step.after_user@2"),
    "a call had just been undone": ("linear undone", "comp.after_user@1"),
    "an effect in the database was open": ("linear done", "t2.before_commit@1"),
}


@pytest.mark.parametrize("mode", [Mode.KILL_BEFORE, Mode.KILL_AFTER, Mode.LOSE_REPLY])
@pytest.mark.parametrize("moment", LOST_WHILE)
def test_a_rescue_survives_what_the_rescued_process_did_not(fork, ledger, moment, mode):
    if mode is Mode.LOSE_REPLY and connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection that could be lost")
    title, fault = LOST_WHILE[moment]
    canonical = BY_TITLE[title]
    job = {"saga": canonical.saga, "input": canonical.input}
    fork.run("lose_a_process", **job, key="unharmed", fault=fault)
    keys = ["unharmed"]

    for at, key in fork.points(mode, "by_rescuer", saga=canonical.saga):
        fork.run("lose_a_process", **job, key=key, fault=fault)
        fork.strike(mode, at, "by_rescuer", saga=canonical.saga)
        # At once: the next rescuer is to find nobody else to rescue.
        fork.finish(canonical, [key])
        keys.append(key)
    fork.finish(canonical, keys)

    check(canonical, keys, ledger)
