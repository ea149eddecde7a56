"""Who may do what: a user needs the permission of the action, and what was refused is recorded."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.core.exceptions import PermissionDenied
from django.test import RequestFactory

from django_saga import OperationRefused, operations
from django_saga.models import InboxMessage, SagaOperation
from django_saga.operations.access import PERMISSIONS
from tests.admin.test_letters import came

pytestmark = pytest.mark.django_db


def user(*codes: str) -> User:
    given = User.objects.create_user(f"clerk{User.objects.count()}")
    found = Permission.objects.filter(codename__in=codes)
    assert found.count() == len(codes)
    given.user_permissions.set(found)
    return given


def recorded() -> list[tuple[str, ...]]:
    return list(
        SagaOperation.objects.order_by("pk").values_list("action", "actor", "result", "before", "after")
    )


def stuck_actions(handle):
    """What a stuck saga takes, by the action's name."""
    return {
        "retry compensation": lambda by: operations.retry_compensation(handle.id, "charge", by=by, why="x"),
        "skip compensation": lambda by: operations.skip_compensation(handle.id, "charge", by=by, why="x"),
    }


def past_actions(handle):
    """What a saga takes that is stuck past its pivot."""
    return {
        "retry step": lambda by: operations.retry_step(handle.id, "tell", by=by, why="x"),
        "skip step": lambda by: operations.skip_step(handle.id, "tell", by=by, why="x"),
        "mark done": lambda by: operations.mark_done(handle.id, "tell", by=by, why="x"),
        "compensate": lambda by: operations.compensate(handle.id, by=by, why="x"),
    }


def running_actions(handle):
    """What a saga takes that goes forward."""
    return {
        "pause": lambda by: operations.pause(saga=handle.id, by=by, why="x"),
        "cancel": lambda by: operations.cancel(handle.id, by=by, why="x"),
        "fork": lambda by: operations.fork(handle.id, "charge", by=by, why="x"),
    }


def actions(kind, sagas):
    if kind == "running":
        return running_actions(sagas.order.start())
    return stuck_actions(sagas.order.run()) if kind == "stuck" else past_actions(sagas.sent.run())


KINDS = {
    **dict.fromkeys(("retry compensation", "skip compensation"), "stuck"),
    **dict.fromkeys(("retry step", "skip step", "mark done", "compensate"), "past"),
    **dict.fromkeys(("pause", "cancel", "fork"), "running"),
}
CODES = sorted({permission.partition(".")[2] for permission in PERMISSIONS.values()})


@pytest.mark.parametrize("action", KINDS)
def test_an_action_takes_its_own_permission_and_no_other(sagas, action):
    wanted = PERMISSIONS[action].partition(".")[2]
    act = actions(KINDS[action], sagas)[action]

    with pytest.raises(PermissionDenied, match=rf"clerk0 lacks the permission django_saga\.{wanted}$"):
        act(user(*[code for code in CODES if code != wanted]))
    [(name, by, result, before, after)] = recorded()
    assert (name, by, result, before) == (action, "clerk0", "refused", after)

    act(user(wanted))

    assert recorded()[1][:2] == (action, "clerk1")
    assert recorded()[1][2] in ("done", "open")


def test_an_action_on_a_name_takes_its_permission_too(sagas):
    sagas.order.start()
    with pytest.raises(PermissionDenied, match=r"lacks the permission django_saga\.pause_saga"):
        operations.pause(definition="order", by=user("cancel_saga"))
    operations.pause(definition="order", by=user("pause_saga"))
    with pytest.raises(PermissionDenied):
        operations.resume(definition="order", by=user())
    with pytest.raises(PermissionDenied):
        operations.close_circuit("order", "charge", by=user("pause_saga"))
    with pytest.raises(OperationRefused, match="its circuit is not open"):
        operations.close_circuit("order", "charge", by=user("close_circuit"))
    with pytest.raises(PermissionDenied, match=r"lacks the permission django_saga\.migrate_saga"):
        operations.migrate_sagas("order", from_version=1, to_version=2, by=user())

    assert recorded() == [
        ("pause", "clerk0", "refused", "", ""),
        ("pause", "clerk1", "done", "", "paused"),
        ("resume", "clerk2", "refused", "", ""),
        ("close circuit", "clerk3", "refused", "", ""),
        ("close circuit", "clerk4", "refused", "closed", "closed"),
        ("migrate", "clerk5", "refused", "", ""),
    ]


def test_a_message_is_requeued_by_those_who_may(db):
    letter = came()
    with pytest.raises(PermissionDenied, match=r"lacks the permission django_saga\.requeue_inboxmessage"):
        operations.requeue(f"inbox:{letter.pk}", by=user("requeue_outboxmessage"))
    operations.requeue(f"inbox:{letter.pk}", by=user("requeue_inboxmessage"))

    assert InboxMessage.objects.get().status == "waiting"
    assert [row[2] for row in recorded()] == ["refused", "done"]


def test_a_permission_that_was_taken_meanwhile_is_not_there(sagas):
    handle, clerk = sagas.order.start(), user("cancel_saga")
    assert clerk.has_perm("django_saga.cancel_saga")
    clerk.user_permissions.clear()

    with pytest.raises(PermissionDenied):
        operations.cancel(handle.id, by=User.objects.get(pk=clerk.pk))

    assert handle.status == "running"


@pytest.mark.parametrize(
    ("by", "error"), [("", ValueError), ("  ", ValueError), (AnonymousUser(), ValueError), (7, TypeError)]
)
def test_nobody_does_nothing(sagas, by, error):
    handle = sagas.order.start()
    for action in running_actions(handle).values():
        with pytest.raises(error):
            action(by)
    assert recorded() == []


def test_what_users_did_is_in_the_log_of_djangos_admin_too(sagas):
    handle, boss = sagas.order.start(), User.objects.create_superuser("boss")
    operations.cancel(handle.id, by=boss, why="ordered twice")
    with pytest.raises(OperationRefused):
        operations.cancel(handle.id, by=boss)
    operations.pause(definition="order", by="a script")

    [entry] = LogEntry.objects.all()
    assert (entry.user, entry.change_message) == (boss, "cancel: ordered twice")
    assert (entry.get_admin_url() or "").endswith(f"/sagainstance/{handle.id}/change/")


@pytest.mark.parametrize(
    ("given", "kept"), [("req-1.a:b/c=", "req-1.a:b/c="), ("", ""), ("two words", ""), ("x" * 101, "")]
)
def test_the_audit_has_the_id_of_the_request(sagas, given, kept):
    request = RequestFactory().post("/", headers={"X-Request-ID": given})
    request.user = User.objects.create_superuser("boss")
    operations.cancel(sagas.order.start().id, by=operations.of_request(request))

    row = SagaOperation.objects.get()
    assert (row.request_id, row.actor) == (kept, "boss")


@pytest.mark.fault("F52")
def test_without_the_log_nothing_is_done(sagas, monkeypatch):
    handle, boss = sagas.order.start(), User.objects.create_superuser("boss")

    def full(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(LogEntry, "save", full)
    with pytest.raises(OSError, match="the disk is full"):
        operations.cancel(handle.id, by=boss)

    assert (handle.status, recorded()) == ("running", [])
