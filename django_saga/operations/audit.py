"""The audit: each action of an operator is one row, written in the transaction of what it does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import router
from django.db.models import Model

from django_saga.core.actions import Action
from django_saga.core.plain import plain
from django_saga.faults import fault_point
from django_saga.models import SagaOperation
from django_saga.operations.access import Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What is done, by whom and why; ``about`` is the row it is done to, for Django's own log."""

    action: Action
    who: Actor
    why: str
    about: Model | None = None
    saga_id: UUID | None = None
    definition: str = ""
    step: str = ""


def record(
    using: str,
    act: Act,
    *,
    at: datetime,
    before: str,
    after: str,
    refusal: str = "",
    detail: str = "",
    since_event: int | None = None,
) -> None:
    """Write the row of ``act`` in the open transaction: refused with ``refusal``; open until its effect is
    known when there is a ``since_event``; done else.
    """
    done = SagaOperation.Result.DONE if since_event is None else SagaOperation.Result.OPEN
    SagaOperation.objects.using(using).create(
        saga_id=act.saga_id,
        definition=act.definition,
        action=act.action,
        step=act.step[:100],
        actor=act.who.name[:150],
        why=act.why,
        request_id=act.who.request_id[:100],
        result=SagaOperation.Result.REFUSED if refusal else done,
        detail=refusal or detail,
        before=before,
        after=after,
        at=at,
        since_event=None if refusal else since_event,
    )
    if not refusal:
        _log(using, act)
    fault_point("operator.before_commit")


def _log(using: str, act: Act) -> None:
    """Tell the log of Django's admin, where what users did to other models is found, if it is in this
    database and knows the user.
    """
    user: Any = act.who.user
    about = act.about
    if about is None or not apps.is_installed("django.contrib.admin"):
        return
    if not isinstance(user, get_user_model()) or user.pk is None:
        return
    from django.contrib.admin.models import CHANGE, LogEntry
    from django.contrib.contenttypes.models import ContentType

    if router.db_for_write(LogEntry) != using:
        return
    said = f"{act.action} {act.step}".strip() + (f": {act.why}" if act.why else "")
    LogEntry.objects.using(using).create(
        user_id=user.pk,
        content_type_id=ContentType.objects.db_manager(using).get_for_model(type(about)).pk,
        object_id=str(about.pk),
        object_repr=plain(str(about))[:200],
        action_flag=CHANGE,
        change_message=plain(said),
    )
