"""What tests of steps that wait share: a lab, in the transaction of a test case and without one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_saga.testing import SagaLab, assert_message_invariants, assert_saga_invariants
from tests.ledger import Ledger
from tests.models import Account
from tests.testing.conftest import bank as bank
from tests.testing.conftest import lab as lab


@pytest.fixture
def stock(lab: SagaLab, ledger: Ledger) -> Iterator[Account]:
    """What the other side of remote steps has."""
    yield Account.objects.create(name="shoe", balance=5)
    assert_saga_invariants()
    assert_message_invariants()
