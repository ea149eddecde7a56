"""Checks of the sagas that are registered: each error names the saga, the step and the remedy."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

from django_saga.conf import get_settings
from django_saga.dsl.program import Program
from django_saga.dsl.registry import registry

# The id of each problem that ``core.validation`` and ``dsl.assembly`` know. Ids are never used again.
IDS = {
    "no-steps": "django_saga.E001",
    "duplicate-step": "django_saga.E002",
    "unknown-step": "django_saga.E003",
    "cycle": "django_saga.E004",
    "not-connected": "django_saga.E005",
    "no-compensation": "django_saga.E006",
    "needless-compensation": "django_saga.E007",
    "saga-name": "django_saga.E008",
    "step-name": "django_saga.E009",
    "version": "django_saga.E010",
    "too-many-steps": "django_saga.E011",
    "not-positive": "django_saga.E012",
    "failure-policy": "django_saga.E013",
    "compensation-policy": "django_saga.E014",
    "repeated-step": "django_saga.E015",
    "queue": "django_saga.E016",
    "async-atomic": "django_saga.E017",
    "orphan-compensation": "django_saga.E019",
    "second-compensation": "django_saga.E020",
    "overwritten": "django_saga.E021",
    "hidden-step": "django_saga.E022",
    "reserved-name": "django_saga.E023",
    "signature": "django_saga.E024",
    "after-type": "django_saga.E025",
    "retry-type": "django_saga.E026",
    "duration-type": "django_saga.E027",
    "schema": "django_saga.E028",
    "second-pivot": "django_saga.E029",
    "beside-pivot": "django_saga.E030",
    "compensated-past-pivot": "django_saga.E031",
    "forward-recovery": "django_saga.E032",
    "alternate": "django_saga.E033",
    "action-type": "django_saga.E034",
    "locks": "django_saga.E035",
    "lock-policy": "django_saga.E036",
    "atomic-probe": "django_saga.E037",
    "hook-step": "django_saga.E038",
    "hook-type": "django_saga.E039",
    "hook-signature": "django_saga.E040",
    "unknown-hook": "django_saga.E041",
    "max-concurrency": "django_saga.E042",
    "rate-limit": "django_saga.E043",
    "priority": "django_saga.E044",
    "breaker": "django_saga.E045",
    "event-name": "django_saga.E046",
    "permission": "django_saga.E047",
    "on-timeout": "django_saga.E048",
    "condition": "django_saga.E049",
    "condition-place": "django_saga.E050",
    "command": "django_saga.E051",
    "reply-timeout": "django_saga.E052",
}
DEFINED_TWICE = "django_saga.E018"


@register("django_saga")
def check_definitions(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Report everything that is wrong with a definition."""
    try:
        get_settings()
    except ImproperlyConfigured:
        return []  # has an error of its own, and the limits are not known
    return [error for program in registry.every() for error in _errors(program)]


@register("django_saga")
def check_names(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Report classes that claim the same name and version."""
    found: list[CheckMessage] = []
    for first, *others in registry.conflicts():
        paths = ", ".join(program.path for program in (first, *others))
        found.append(
            Error(
                f"Saga {str(first.definition)!r} is defined by several classes: {paths}.",
                hint='Set another name = "..." or version = ... in all but one of them.',
                obj=first.path,
                id=DEFINED_TWICE,
            )
        )
    return found


def _errors(program: Program) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for problem in program.problems:
        step = f", step {problem.step!r}" if problem.step else ""
        message = f"Saga {str(program.definition)!r}{step}: {problem.message}"
        found.append(Error(message, hint=problem.hint, obj=program.path, id=IDS[problem.code]))
    return found
