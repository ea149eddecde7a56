"""Who does something, and whether that person may."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Protocol

from django.http import HttpRequest

from django_saga.core.actions import Action

# The permission that an action takes. Those on messages have one for each box: see ``letters``.
PERMISSIONS: Final = {
    Action.CANCEL: "django_saga.cancel_saga",
    Action.COMPENSATE: "django_saga.compensate_saga",
    Action.RETRY_STEP: "django_saga.retry_saga",
    Action.RETRY_COMPENSATION: "django_saga.retry_saga",
    Action.SKIP_STEP: "django_saga.skip_step",
    Action.SKIP_COMPENSATION: "django_saga.skip_step",
    Action.MARK_DONE: "django_saga.mark_step_done",
    Action.PAUSE: "django_saga.pause_saga",
    Action.RESUME: "django_saga.pause_saga",
    Action.FORK: "django_saga.fork_saga",
    Action.MIGRATE: "django_saga.migrate_saga",
    Action.CLOSE_CIRCUIT: "django_saga.close_circuit",
    Action.FAIL_FLOW: "django_saga.fail_flow",
}
# What comes from outside and goes into the audit: nothing that a reader could take for something else.
_REQUEST_ID = re.compile(r"[\w.:+/=-]{1,100}", re.ASCII)


class User(Protocol):
    """A user of the project, as ``request.user`` is one."""

    def has_perm(self, perm: str) -> bool: ...

    def get_username(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it. With a ``user`` it is checked whether that one may; without, the code that calls answers
    for it, as commands do. ``request_id`` leads from the audit to the project's own logs.
    """

    name: str
    user: User | None = None
    request_id: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("Say who does it: by= is a user, or the name of somebody.")

    def lacks(self, permission: str) -> str:
        """Say which permission is lacking; nothing when the actor may."""
        if self.user is None or self.user.has_perm(permission):
            return ""
        return f"{self.name} lacks the permission {permission}"


By = str | User | Actor


def actor_of(by: By) -> Actor:
    """Give who does it: a name that the caller answers for, or a user who has to have the permission.

    Raises ``ValueError`` for an empty name, ``TypeError`` for what is neither.
    """
    if isinstance(by, Actor):
        return by
    if isinstance(by, str):
        return Actor(by)
    if not hasattr(by, "has_perm"):
        raise TypeError(f"by={by!r} is neither a user nor the name of one.")
    return Actor(by.get_username(), by)


def of_request(request: HttpRequest) -> Actor:
    """Give the user of a request, with the id that the header ``X-Request-ID`` gives it.

    ``operations.cancel(saga_id, by=operations.of_request(request))``
    """
    user: Any = request.user
    given = request.headers.get("X-Request-ID", "")
    return Actor(user.get_username(), user, given if _REQUEST_ID.fullmatch(given) else "")
