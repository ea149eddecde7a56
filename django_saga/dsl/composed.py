"""Sagas composed at run time: their steps are data, made of the actions that a class permits."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, ClassVar

from django_saga.conf import get_settings
from django_saga.core import encoding
from django_saga.core.problem import Problem
from django_saga.dsl import payloads, plan
from django_saga.dsl.action import Action
from django_saga.dsl.assembly import assemble
from django_saga.dsl.part import Draft
from django_saga.dsl.program import Program
from django_saga.dsl.saga import Saga, SagaType, make_program
from django_saga.exceptions import EncodingError, InvalidDefinition

# Of its definition: its actions stand in no order.
_NOT_ASKED = ("not-connected", "too-many-steps")


@dataclass(frozen=True, eq=False, repr=False)
class Composition(Program):
    """What a ``ComposedSaga`` permits. In its definition each action is a step; its sagas bring graphs."""

    actions: Mapping[str, Action] = field(default_factory=dict)
    brings_graph: ClassVar[bool] = True

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong with the actions."""
        return tuple(problem for problem in super().problems if problem.code not in _NOT_ASKED)

    def compose(self, steps: Any) -> Program:
        """Give the program of ``steps``. Raises ``InvalidDefinition`` that lists what is wrong with them."""
        self.require_valid()
        settings = get_settings()
        completed, problems = plan.complete(steps, self.actions, max_steps=settings.max_steps)
        self._refuse(problems)
        try:
            text = payloads.encode({"steps": completed}, "graph", settings.max_input_bytes, "MAX_INPUT_BYTES")
        except EncodingError as error:
            raise InvalidDefinition(
                f"Saga {self.definition} ({self.path}) cannot be composed so: {error}"
            ) from error
        return self.of(text)

    def of(self, graph: str | None) -> Program:
        """Give the program of a saga with ``graph``. Raises ``InvalidDefinition`` for what is no graph."""
        return _program(self, graph or "null")

    def read(self, graph: str) -> Program:
        """Make what ``of`` gives."""
        try:
            data = encoding.decode(graph)
        except (EncodingError, ValueError, ArithmeticError) as error:
            raise InvalidDefinition(f"Saga {self.definition}: its graph cannot be read: {error}") from error
        given = data.get("steps") if isinstance(data, dict) else None
        # Limits are for what is to be started: what was started goes on though they were lowered.
        steps, problems = plan.complete(given, self.actions, max_steps=sys.maxsize)
        self._refuse(problems or plan.wrong_references(steps))
        cls: Any = self.saga
        body = {name: getattr(cls, name) for name in _INHERITED}
        names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
        saga = SagaType(cls.__name__, (Saga,), {**body, **names, "abstract": True})
        assembly = plan.draft(steps, self.actions).assembly()
        # Methods of the class that composes, and of no other.
        assembly.hooks = {key: [staticmethod(one) for one in told] for key, told in self._bound_hooks.items()}
        program = make_program(
            saga,
            self.definition.name,
            assembly,
            hints=_HINTS,
            graph=graph,
            home=self,
        )
        self._refuse([problem for problem in program.problems if problem.code != "too-many-steps"])
        return program

    def _refuse(self, problems: Sequence[Problem]) -> None:
        if problems:
            lines = "".join(f"\n- {problem}" for problem in problems)
            raise InvalidDefinition(f"Saga {self.definition} ({self.path}) cannot be composed so:{lines}")


@lru_cache(maxsize=256)
def _program(composition: Composition, graph: str) -> Program:
    return composition.read(graph)


class ComposedSaga(Saga):
    """A saga whose steps are put together at run time, as data, of the ``actions`` that its class lists.

    ``compose(steps)`` gives the saga to start. All attributes of ``Saga`` hold for every saga composed so.
    """

    abstract = True
    actions: ClassVar[Iterable[Action]] = ()

    @classmethod
    def compose(cls, steps: Iterable[str | Mapping[str, Any]]) -> type[Saga]:
        """Give the saga of ``steps``: names of actions, or dictionaries as ``{"action": "reserve", ...}``.

        A dictionary may hold ``name`` (by default the action's), ``after`` (names; by default the step
        before), ``input`` and ``when`` (data with references), ``retry``, ``timeout`` and ``deadline``.
        Raises ``InvalidDefinition`` that lists what is wrong with them.
        """
        composition = vars(cls).get("program")
        if not isinstance(composition, Composition):
            raise InvalidDefinition(f"{cls.__name__} is abstract: compose sagas of a subclass that is not.")
        given = steps if isinstance(steps, (str, Mapping)) else list(steps)
        saga: type[Saga] = composition.compose(given).saga
        return saga

    @classmethod
    def _startable(cls) -> Program:
        program = super()._startable()
        raise InvalidDefinition(
            f"Saga {program.definition} has no steps of its own: "
            f"start what {cls.__name__}.compose([...]) gives."
        )

    @classmethod
    def _make_program(cls, name: str) -> Program:
        listed = list(cls.actions)
        actions = sorted((each for each in listed if isinstance(each, Action)), key=lambda each: each.name)
        draft = Draft()
        for each in actions:
            draft.add(each, after=())
        assembly = draft.assembly()
        for other in listed:
            if not isinstance(other, Action):
                assembly.report("action-type", "", f"actions = [...] holds {other!r:.80}.", _ACTION_HINT)
        written = assemble(cls, frozenset())
        assembly.hooks = written.hooks
        assembly.problems += [problem for problem in written.problems if problem.code in _OF_HOOKS]
        for _, step in written.steps:
            assembly.report("action-type", step.name, "It is written in the class.", _ACTION_HINT)
        for each in actions:
            # A gate belongs to the name of a step, and composed steps have names of their own.
            if held := sorted(_GATED & each.options.keys()):
                assembly.report("action-type", each.name, f"It has {' and '.join(held)}.", _GATE_HINT)
        by_name = {each.name: each for each in actions}
        return make_program(cls, name, assembly, Composition, hints=_ACTION_HINTS, actions=by_name)


# What a saga has of the class that composes it.
_INHERITED = tuple(name for name in Saga.__annotations__ if name not in ("abstract", "program"))
_ACTION_HINT = "Decorate a function of the context with @action, and list it in actions."
_OF_HOOKS = {"hook-step", "hook-type", "hook-signature", "unknown-hook"}
_GATED = {"max_concurrency", "rate_limit", "breaker"}
_GATE_HINT = "Set max_concurrency or rate_limit on the class, or leave it out."
_ACTION_HINTS = {
    "no-steps": "Set actions = [...] to functions decorated with @action.",
    "step-name": 'Use up to 100 lower-case letters, digits and "_": @action("...") sets it.',
    "duplicate-step": 'Give all but one of these actions another name: @action("...").',
    "no-compensation": "Write one below @<action>.compensation, "
    "or say @action(no_compensation=True) if there is nothing to undo.",
}
_HINTS = {
    "no-steps": 'Give at least one: compose(["..."]).',
    "step-name": 'Use up to 100 lower-case letters, digits and "_"; "name" sets it.',
    "duplicate-step": 'Give all but one of them a "name" of its own.',
}
