"""Messages delivered in users' tests, in the transaction of a test case too."""

from __future__ import annotations

import pytest

from django_saga import publish
from django_saga.models import InboxMessage
from django_saga.testing import deliver_messages
from tests.models import Account, Effect


@pytest.fixture(params=["rolled back", "committed"])
def _database(request, db):
    """Give the transaction of a test case, and none."""
    if request.param == "committed":
        request.getfixturevalue("transactional_db")


@pytest.mark.usefixtures("_database")
def test_messages_reach_their_handlers_and_what_those_publish_too(settings):
    settings.DJANGO_SAGA = {"BROKERS": {"default": "redis://nobody.invalid"}}
    publish("bank.deposited", {"amount": "3"}, key="ann")
    publish("test.passed_on", {"n": 5}, key="a")

    assert deliver_messages() == 4
    assert deliver_messages() == 0

    assert Account.objects.get(name="ann").balance == 3
    assert Effect.objects.filter(key="a", kind="5").count() == 1


@pytest.mark.usefixtures("_database")
def test_a_handler_that_fails_is_told_unless_that_is_what_is_tested():
    publish("test.noted", {"n": 1, "do": "fail"}, key="a")
    with pytest.raises(AssertionError, match=r"(?s)1 messages failed:.*never"):
        deliver_messages()

    publish("test.noted", {"n": 2, "do": "fail"}, key="b")
    publish("test.noted", {"n": 3}, key="c")
    assert deliver_messages(failing=True) == 1

    assert InboxMessage.objects.filter(status="dead").count() == 2
    assert not Effect.objects.filter(kind__in="12").exists()
