"""The steps of a saga composed at run time, as plain data: what they may say, and what is wrong with them.

    {"action": "reserve", "name": "reserve_tea", "after": [], "input": {"sku": {"$input": "sku"}},
     "when": {"$result": "look.in_stock"}, "retry": {"attempts": 5, "delay": 2}, "timeout": 30,
     "deadline": 600, "pivot": True, "forward_recovery": "skip"}

Only ``action`` has to be there. Names are looked up among the actions permitted; nothing is imported or run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from django_saga.core.problem import Problem, did_you_mean
from django_saga.core.retry import Retry
from django_saga.core.states import ForwardRecovery
from django_saga.dsl import expression
from django_saga.dsl.condition import of_data
from django_saga.dsl.part import Draft, Part, part

_KEYS = (
    *("action", "name", "after", "input", "when"),
    *("retry", "timeout", "deadline", "pivot", "forward_recovery"),
)
# ALTERNATE names a step that stands in, which data has no words for.
_RECOVERIES = tuple(each.value for each in ForwardRecovery if each is not ForwardRecovery.ALTERNATE)
_RETRY = ("attempts", "delay", "factor", "max_delay", "jitter")

Steps = list[dict[str, Any]]


def complete(given: Any, actions: Mapping[str, Part], *, max_steps: int) -> tuple[Steps, list[Problem]]:
    """Give the steps in ``given``, each with its ``name`` and ``after``, and what is wrong with them."""
    if not isinstance(given, Sequence) or isinstance(given, str):
        return [], [_problem("", f"The steps are {given!r:.80}.", "Give a list of steps.")]
    if len(given) > max_steps:
        told = f"There are {len(given):,} steps; the limit is {max_steps:,} (setting MAX_STEPS)."
        return [], [_problem("", told, "Compose several sagas, or raise the setting.")]
    steps: Steps = []
    problems: list[Problem] = []
    for place, item in enumerate(given, 1):
        step = {"action": item} if isinstance(item, str) else item
        found = list(_wrong(step, place, actions))
        problems += found
        if not found:
            before = [steps[-1]["name"]] if steps else []
            steps.append({"name": step["action"], "after": before, **step})
    return steps, problems


def wrong_references(steps: Steps) -> list[Problem]:
    """Give what is wrong with what the inputs of complete steps refer to."""
    return list(_wrong_references(steps))


def draft(steps: Steps, actions: Mapping[str, Part]) -> Draft:
    """Give the draft of steps that ``complete`` gave without a problem."""
    made = Draft()
    for step in steps:
        options: dict[str, Any] = {
            key: step[key] for key in ("name", "after", "timeout", "deadline", "pivot") if key in step
        }
        if "forward_recovery" in step:
            options["forward_recovery"] = ForwardRecovery(step["forward_recovery"])
        if "retry" in step:
            options["retry"] = Retry(**step["retry"])
        if "when" in step:
            options["when"] = of_data(step["when"])
        mapper = partial(expression.resolve, step["input"]) if "input" in step else None
        made.add(part(actions[step["action"]], **options), after=(), mapper=mapper)
    return made


def _wrong(step: Any, place: int, actions: Mapping[str, Part]) -> Iterator[Problem]:
    if not isinstance(step, Mapping):
        yield _problem(f"#{place}", f"It is {step!r:.80}.", "Give a dictionary, or the name of an action.")
        return
    name = step.get("name", step.get("action"))
    where = name if isinstance(name, str) and name else f"#{place}"
    for key in step.keys() - set(_KEYS):
        meant = did_you_mean(key, _KEYS) if isinstance(key, str) else ""
        yield _problem(where, f"There is no key {key!r:.80}.{meant}", f"The keys are {', '.join(_KEYS)}.")
    action = step.get("action")
    if not isinstance(action, str) or action not in actions:
        meant = did_you_mean(action, actions) if isinstance(action, str) else ""
        listed = f"The actions are {', '.join(sorted(actions))}."
        yield _problem(where, f"{action!r:.80} is not one of the saga's actions.{meant}", listed)
    if not isinstance(step.get("name", ""), str):
        yield _problem(where, f"Its name is {step['name']!r:.80}.", "Give text.")
    after = step.get("after", [])
    if not isinstance(after, (list, tuple)) or not all(isinstance(each, str) for each in after):
        yield _problem(where, f"It comes after {after!r:.80}.", "Give a list of names of steps.")
    if not isinstance(step.get("pivot", False), bool):
        yield _problem(where, f"pivot is {step['pivot']!r:.80}.", "Give true or false.")
    recovery = step.get("forward_recovery", _RECOVERIES[0])
    if not isinstance(recovery, str) or recovery not in _RECOVERIES:
        yield _problem(where, f"forward_recovery is {recovery!r:.80}.", f"Give {', '.join(_RECOVERIES)}.")
    yield from _wrong_retry(step.get("retry", {}), where)


def _wrong_retry(retry: Any, where: str) -> Iterator[Problem]:
    try:
        if not isinstance(retry, Mapping):
            raise TypeError("it is no dictionary")
        if unknown := retry.keys() - set(_RETRY):
            raise TypeError(f"there is no {', '.join(map(repr, unknown))}")
        # A flag is a number to Python, and half an attempt is none.
        if (
            any(isinstance(each, bool) for each in retry.values())
            or type(retry.get("attempts", 1)) is not int
        ):
            raise TypeError("its numbers are not numbers")
        Retry(**retry)
    except (TypeError, ValueError, OverflowError) as error:
        hint = f"Give a dictionary of numbers with keys from {', '.join(_RETRY)}."
        yield _problem(where, f"Its retry, {retry!r:.80}, is wrong: {error}.", hint)


def _wrong_references(steps: Steps) -> Iterator[Problem]:
    before = {step["name"]: step["after"] for step in steps}
    for step, key in ((step, key) for step in steps for key in ("input", "when")):
        try:
            wanted = {found.step for found in expression.references(step.get(key)) if found.step}
        except expression.WrongReference as error:
            yield _problem(step["name"], f"Its {key}: {error}.", "Correct the reference, or use $literal.")
            continue
        for name in sorted(wanted - _reachable(step["name"], before)):
            yield _problem(
                step["name"],
                f"Its {key} takes the result of {name!r}, which it does not come after.",
                "Name that step in after, or one that comes after it.",
            )


def _reachable(name: str, before: Mapping[str, Sequence[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        new = set(before.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return found


def _problem(step: str, message: str, hint: str) -> Problem:
    return Problem("composition", step, message, hint)
