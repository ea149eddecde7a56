"""What may be wrong with a step that waits for the world outside, each with its remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator

from django_saga.core.definition import StepDefinition
from django_saga.core.external import name_problem
from django_saga.core.problem import Problem
from django_saga.core.states import OnTimeout
from django_saga.core.waits import WaitKind


def wait_problems(step: StepDefinition) -> Iterator[Problem]:
    """Give what is wrong with what ``step`` waits for, if it does."""
    wait = step.wait
    if wait is None or wait.kind not in (WaitKind.EVENT, WaitKind.APPROVAL):
        return
    if wait.kind is WaitKind.EVENT and (wrong := name_problem(wait.name)):
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
