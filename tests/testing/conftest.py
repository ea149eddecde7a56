"""What tests of the lab share: the plugin's fixture, the bank, and both ways to have a database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_saga.testing.plugin import saga_lab as saga_lab
from tests.sagas import lab_sagas
from tests.sagas.lab_sagas import Bank


@pytest.fixture
def bank(monkeypatch: pytest.MonkeyPatch) -> Bank:
    """A bank where nothing has happened yet."""
    bank = Bank()
    monkeypatch.setattr(lab_sagas, "bank", bank)
    return bank


@pytest.fixture(
    params=[
        pytest.param("rolled back", marks=pytest.mark.django_db),
        pytest.param("committed", marks=pytest.mark.django_db(transaction=True)),
    ]
)
def lab(request: pytest.FixtureRequest, bank: Bank) -> Iterator[object]:
    """A lab, in the transaction of a ``TestCase`` and without one; afterwards the invariants hold."""
    from django_saga.testing import assert_saga_invariants

    yield request.getfixturevalue("saga_lab")
    assert_saga_invariants()
