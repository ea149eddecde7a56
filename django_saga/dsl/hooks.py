"""Hooks as written in a saga's class, or given as options: which functions are told what, and what is wrong
with them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypedDict, overload

from django_saga.core.problem import Problem, did_you_mean
from django_saga.dsl.signature import takes
from django_saga.dsl.transition import HOOKS

if TYPE_CHECKING:
    from django_saga.dsl.step import Step

HookFunction: TypeAlias = Callable[..., Any]
# By the hook's word and its step; of the saga itself where the step is empty.
Hooks: TypeAlias = Mapping[tuple[str, str], Sequence[HookFunction]]


class HookOptions(TypedDict, total=False):
    """Hooks of a step or saga that stands in no class: functions of a ``Transition``."""

    on_enter: HookFunction | None
    on_success: HookFunction | None
    on_failure: HookFunction | None
    on_compensate: HookFunction | None
    on_stuck: HookFunction | None
    on_exit: HookFunction | None


class Hook:
    """A function that is told what happens to ``step``; on an instance of the saga it is a plain method."""

    def __init__(self, word: str, step: Step, function: HookFunction) -> None:
        self.word = word
        self.step = step
        self.function = function
        self.__doc__ = getattr(function, "__doc__", None)

    def __repr__(self) -> str:
        return f"<{self.word} of step {self.step.name}>"

    @property
    def step_name(self) -> str:
        """The name of the step it is about."""
        return self.step.name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> HookFunction: ...

    def __get__(self, instance: object, owner: type) -> Any:
        return self if instance is None else self.function.__get__(instance)


class HookDecorators:
    """The decorators of a step that make methods of its saga hooks: ``@charge.on_success``."""

    def on_enter(self, function: HookFunction, /) -> Hook:
        """Have the function told that an attempt of the step begins."""
        return self._hook("on_enter", function)

    def on_success(self, function: HookFunction, /) -> Hook:
        """Have the function told that the step succeeded."""
        return self._hook("on_success", function)

    def on_failure(self, function: HookFunction, /) -> Hook:
        """Have the function told that the step failed for good, or stays in doubt."""
        return self._hook("on_failure", function)

    def on_compensate(self, function: HookFunction, /) -> Hook:
        """Have the function told that the step was undone."""
        return self._hook("on_compensate", function)

    def on_stuck(self, function: HookFunction, /) -> Hook:
        """Have the function told that the step's compensation is dead."""
        return self._hook("on_stuck", function)

    def on_exit(self, function: HookFunction, /) -> Hook:
        """Have the function told that the step came to rest, however."""
        return self._hook("on_exit", function)

    def _hook(self, word: str, function: HookFunction) -> Hook:
        return Hook(word, self, function)  # type: ignore[arg-type]


def written_in(cls: type, items: Mapping[str, Hook], steps: Sequence[str]) -> tuple[Hooks, list[Problem]]:
    """Give the hooks of ``cls`` and what is wrong with them; ``items``: its decorated ones, by attribute."""
    found: dict[tuple[str, str], list[HookFunction]] = {}
    problems: list[Problem] = []
    for attribute, step, word, function in _functions(cls, items):
        # What an overriding class sets to None is no hook any more.
        if function is None:
            continue
        wrong = _problem(attribute, step, function, steps)
        if wrong:
            problems.append(wrong)
        else:
            found.setdefault((word, step), []).append(function)
    return found, [*problems, *_unknown(cls, items)]


def _functions(cls: type, items: Mapping[str, Hook]) -> Iterator[tuple[str, str, str, Any]]:
    """Give attribute, step, word and function of each hook as ``cls`` has it, overridden or not."""
    for word in HOOKS:
        own = inspect.getattr_static(cls, word, None)
        if not hasattr(own, "step_name"):  # a step or another hook of this name is an error of its own
            yield word, "", word, own
    for attribute, hook in items.items():
        own = inspect.getattr_static(cls, attribute, hook)
        yield attribute, hook.step.name, hook.word, own.function if isinstance(own, Hook) else own


def given_as(options: Mapping[tuple[str, str], Any]) -> tuple[Hooks, list[Problem]]:
    """Give the hooks of a saga that is no class, and what is wrong with them: they take the transition
    alone.
    """
    found: dict[tuple[str, str], list[HookFunction]] = {}
    problems: list[Problem] = []
    for (word, step), function in options.items():
        if not callable(function) or isinstance(function, type):
            problems.append(
                Problem(
                    "hook-type",
                    step,
                    f"{word}= is {function!r}, which is not a function.",
                    f"Give it a function: {word}=lambda transition: ...",
                )
            )
        elif wrong := _wrong_signature(f"{word}=", step, function, "(transition)", "this parameter"):
            problems.append(wrong)
        else:
            found[word, step] = [staticmethod(function)]
    return found, problems


def take_out(options: MutableMapping[str, Any]) -> dict[str, Any]:
    """Take the hooks out of ``options``, and give them by their words."""
    return {word: function for word in HOOKS if (function := options.pop(word, None)) is not None}


def _problem(attribute: str, step: str, function: Any, steps: Sequence[str]) -> Problem | None:
    if step and step not in steps:
        return Problem(
            "hook-step",
            step,
            f"The hook {attribute}() is about a step that is not one of this saga.",
            f"Decorate it with a step of the same class.{did_you_mean(step, steps)}",
        )
    if not callable(function) or not hasattr(function, "__get__") or isinstance(function, type):
        return Problem(
            "hook-type",
            step,
            f"The hook {attribute} is {function!r}, which is not a function.",
            f"Write def {attribute}(self, transition).",
        )
    return _wrong_signature(
        f"The hook {attribute}()", step, function, "(self, transition)", "these two parameters"
    )


def _wrong_signature(
    what: str, step: str, function: HookFunction, called: str, parameters: str
) -> Problem | None:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        wrong, hint = "is a generator", "Write it without yield: nobody takes what it yields."
    elif not takes(function, called.count(",") + 1):
        wrong, hint = f"cannot be called with {called}", f"Give it exactly {parameters}."
    else:
        return None
    return Problem("hook-signature", step, f"{what} {wrong}.", hint)


def _unknown(cls: type, items: Mapping[str, Hook]) -> Iterator[Problem]:
    """Find methods that look like hooks and are none: they would never be called."""
    for name, _ in inspect.getmembers_static(cls, inspect.isfunction):
        if name.startswith("on_") and name not in items and name not in HOOKS:
            yield Problem(
                "unknown-hook",
                "",
                f"{name}() looks like a hook, but a saga has none of this name.{did_you_mean(name, HOOKS)}",
                f"The hooks of a saga are {', '.join(HOOKS)}, those of a step are decorated: "
                f"@<step>.{HOOKS[1]}. Give any other method another name.",
            )
