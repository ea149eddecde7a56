"""A crash or a broken connection at every statement of sagas that have another service act, and of what that
does: it acts once, and undoes it once.
"""

from __future__ import annotations

import pytest
from django.db import connection

from django_saga.models import ExternalEvent, InboxMessage, OutboxMessage
from django_saga.testing import assert_message_invariants
from tests.sweep.expectations import Canonical, check
from tests.sweep.points import DROPS, KILLS, Mode

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

UNDONE = Canonical(
    "asked undone",
    "sweep_remote",
    {"fails": True},
    "compensated",
    inside=frozenset({"asked:do", "asked:undo"}),
    outside=frozenset(),
    order=(),
    silent=frozenset({"last:do"}),
)


@pytest.mark.parametrize("mode", [*KILLS, *DROPS])
def test_another_service_acts_once_and_undoes_it_once_whatever_strikes(fork, ledger, mode: Mode):
    if mode in DROPS and connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection that could be lost")
    arguments = {"saga": UNDONE.saga, "input": UNDONE.input}
    keys = ["unharmed"]
    fork.run("with_post", mode="nothing", at=0, key="unharmed", **arguments)

    for at, point in fork.points(mode, "with_post", again=False, key="to count", **arguments):
        key = f"{at} {point[-150:]}"
        fork.strike(mode, at, "with_post", key=key, **arguments)
        fork.run("finish_with_post", wanted=[(UNDONE.saga, UNDONE.input, key)])
        keys.append(key)

    assert len(keys) > 50
    check(UNDONE, [*keys, "to count"], ledger)
    assert set(OutboxMessage.objects.values_list("status", flat=True)) == {"published"}
    assert set(InboxMessage.objects.values_list("status", flat=True)) == {"done"}
    assert not ExternalEvent.objects.filter(taken_at=None).exists()
    assert_message_invariants()
