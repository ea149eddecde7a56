"""What may be wrong with a step that waits for the world outside, each with its remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from django_saga.core.definition import StepDefinition
from django_saga.core.names import name_problem
from django_saga.core.problem import Problem
from django_saga.core.states import OnTimeout
from django_saga.core.waits import WaitDefinition, WaitKind


def wait_problems(step: StepDefinition) -> Iterator[Problem]:
    """Give what is wrong with what ``step`` waits for, if it does."""
    wait = step.wait
    if wait is not None and wait.sends_commands:
        yield from _remote_problems(step, wait)
    if wait is None or wait.kind not in (WaitKind.EVENT, WaitKind.APPROVAL):
        return
    if wait.kind is WaitKind.EVENT and (wrong := name_problem(wait.name, "the name of an event")):
        yield Problem("event-name", step.name, f"{wrong}.", 'Name it as its sender does: "invoice.paid".')
    permission = re.fullmatch(r"[A-Za-z0-9_]+\.[^\s.]+", wait.name) if isinstance(wait.name, str) else None
    if wait.kind is WaitKind.APPROVAL and not permission:
        yield Problem(
            "permission",
            step.name,
            f"{wait.name!a:.80} cannot be a permission.",
            'Name one as user.has_perm() takes it: "shop.approve_refund".',
        )
    if not isinstance(wait.on_timeout, OnTimeout):
        yield Problem(
            "on-timeout",
            step.name,
            f"on_timeout={wait.on_timeout!r} is not an OnTimeout.",
            "Give OnTimeout.FAIL, OnTimeout.GO_ON or OnTimeout.GO_ON(result).",
        )
    elif wait.on_timeout is not OnTimeout.FAIL and step.deadline is None:
        yield Problem(
            "on-timeout",
            step.name,
            "It says what happens when the time is up, and has no timeout.",
            "Give timeout=..., or leave on_timeout= out.",
        )


def _remote_problems(step: StepDefinition, wait: WaitDefinition) -> Iterator[Problem]:
    for command in (wait.name, wait.compensation or wait.name):
        if wrong := name_problem(command, "a command"):
            yield Problem(
                "command", step.name, f"{wrong}.", 'Name it as its participant does: "stock.reserve".'
            )
            return
    if wait.compensation == wait.name:
        yield Problem(
            "command",
            step.name,
            f"What undoes the command {wait.name!r} is the same command.",
            "Name another one, which a participant of its own takes.",
        )
    if wait.reply_timeout is not None and wait.reply_timeout <= timedelta(0):
        yield Problem(
            "reply-timeout",
            step.name,
            f"reply_timeout={wait.reply_timeout} is not positive.",
            "Give seconds or a timedelta, longer than the other side may take.",
        )
