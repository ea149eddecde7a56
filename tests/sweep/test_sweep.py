"""A crash or a broken connection at every statement of the canonical sagas: nothing is lost, nothing doubled.

The same saga is run again and again, and struck one statement later each time. Then workers carry on what was
left behind, and the books have to be right for all of them.
"""

from __future__ import annotations

import pytest
from django.db import connection

from tests.sweep.expectations import CANONICAL, check
from tests.sweep.points import DROPS, KILLS, Mode

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

each_canonical = pytest.mark.parametrize("canonical", CANONICAL, ids=lambda canonical: canonical.title)
by_each_driver = pytest.mark.parametrize("driver", ["by_worker", "by_caller"])


def struck_at_each_point(fork, driver, canonical, mode, *, again=True):
    """Strike run after run one point later; give the keys of the sagas. ``again`` as in ``fork.points``."""
    job = {"saga": canonical.saga, "input": canonical.input}
    keys = ["first", "unharmed"]
    fork.run(driver, **job, key="first", mode=Mode.NOTHING, at=0)  # makes the rows that are made once
    for at, key in fork.points(mode, driver, again=again, **job, key="unharmed"):
        fork.strike(mode, at, driver, **job, key=key)
        keys.append(key)
    return keys


@by_each_driver
@each_canonical
@pytest.mark.parametrize("mode", KILLS)
def test_a_saga_survives_the_death_of_its_process_at_every_statement(fork, ledger, driver, canonical, mode):
    keys = struck_at_each_point(fork, driver, canonical, mode)

    fork.finish(canonical, keys)

    check(canonical, keys, ledger)


@by_each_driver
@each_canonical
@pytest.mark.parametrize("mode", DROPS)
def test_a_saga_survives_the_loss_of_the_connection_at_every_statement(fork, ledger, driver, canonical, mode):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection that could be lost")
    keys = struck_at_each_point(fork, driver, canonical, mode)

    fork.finish(canonical, keys)

    check(canonical, keys, ledger)
