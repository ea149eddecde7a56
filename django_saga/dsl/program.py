"""A definition with the code behind it: what the engine runs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, get_args, get_origin

from django_saga.conf import get_settings
from django_saga.core import encoding, validation
from django_saga.core.definition import SagaDefinition
from django_saga.core.problem import Problem
from django_saga.dsl import payloads
from django_saga.dsl.assembly import Functions
from django_saga.dsl.condition import Condition
from django_saga.dsl.hooks import HookFunction, Hooks
from django_saga.dsl.locks import Locks, targets
from django_saga.dsl.scalars import UnsupportedType
from django_saga.dsl.schema import Schema, TypeSchema, schema_for
from django_saga.dsl.step import StepFunction
from django_saga.exceptions import EncodingError, InvalidDefinition, InvalidInput


@dataclass(frozen=True, eq=False)
class Program:
    """One version of one saga: its definition, its functions, and the types of what goes in and out.

    ``input`` and ``output`` are what the saga declares (None: any JSON); the decoding methods take what
    ``encoding.decode`` gave back. ``locks`` gives what a saga locks, if the definition says that it does.
    """

    definition: SagaDefinition
    saga: type
    functions: Mapping[str, Functions]
    input: Any = None
    output: Any = None
    locks: Locks | None = None
    hooks: Hooks = field(default_factory=dict)  # functions as methods of ``saga``
    found: tuple[Problem, ...] = field(default=())  # what the class's body shows to be wrong
    place: str = ""  # where it is written, unless that is where its class says
    hints: Mapping[str, str] = field(default_factory=dict)  # by code: remedies in the words of its form
    graph: str | None = None  # of a saga that was composed at run time: its steps as JSON text
    home: Program | None = None  # likewise: the program that is registered, and composed it

    brings_graph: ClassVar[bool] = False  # True for one whose sagas are composed at run time

    def __repr__(self) -> str:
        return f"<program of {self.definition}>"

    @property
    def path(self) -> str:
        """Where the saga is written: ``shop.sagas.OrderSaga``."""
        return self.place or f"{self.saga.__module__}.{self.saga.__qualname__}"

    @property
    def registered(self) -> Program:
        """The program whose definition is in the registry and in the database."""
        return self.home or self

    def of(self, graph: str | None) -> Program:
        """Give the program of a saga of this definition that was started with ``graph``."""
        return self

    # --- running ----------------------------------------------------------------------------------

    def do(self, step: str) -> StepFunction:
        """Give the step's function; it takes the context."""
        return self._bound[step, "do"]

    def undo(self, step: str) -> StepFunction:
        """Give the step's compensation; it takes the context. Raises ``KeyError`` if it has none."""
        return self._bound[step, "undo"]

    def probe(self, step: str) -> StepFunction:
        """Give the step's probe; it takes the context. Raises ``KeyError`` if it has none."""
        return self._bound[step, "probe"]

    def when(self, step: str) -> Condition:
        """Give the step's condition; it takes the context. Raises ``KeyError`` if it has none."""
        return self._bound[step, "when"]

    def hook(self, word: str, step: str = "") -> Sequence[HookFunction]:
        """Give the hooks of the step, or of the saga; they take a ``Transition``."""
        return self._bound_hooks.get((word, step), ())

    @cached_property
    def _instance(self) -> Any:
        # One instance for all sagas: it is ``self`` of every step and hook and keeps no state.
        return self.saga()

    @cached_property
    def _bound_hooks(self) -> Hooks:
        return {key: [one.__get__(self._instance) for one in these] for key, these in self.hooks.items()}

    @cached_property
    def _bound(self) -> Mapping[tuple[str, str], StepFunction]:
        instance = self._instance
        bound: dict[tuple[str, str], StepFunction] = {}
        for name, functions in self.functions.items():
            bound[name, "do"] = functions.do.__get__(instance)
            if functions.undo is not None:
                bound[name, "undo"] = functions.undo.__get__(instance)
            if functions.probe is not None:
                bound[name, "probe"] = functions.probe.__get__(instance)
            if functions.when is not None:
                bound[name, "when"] = functions.when.__get__(instance)
        return bound

    # --- values -----------------------------------------------------------------------------------

    def encode_input(self, value: Any, name: str = "input") -> str:
        """Give ``value`` as JSON text. Raises ``InvalidInput`` that names field, type and limit."""
        try:
            plain = value if self._input is None else self._input.to_plain(value, name)
            return payloads.encode(plain, name, get_settings().max_input_bytes, "MAX_INPUT_BYTES")
        except EncodingError as error:
            raise InvalidInput(f"Saga {self.definition.name}: {error}") from error

    def decode_input(self, data: Any) -> Any:
        """Give the saga's input as its declared type. Raises ``EncodingError``."""
        return data if self._input is None else self._input.from_plain(data, "input")

    def targets(self, text: str) -> tuple[str, ...]:
        """Give what a saga with the encoded input ``text`` locks, sorted. Raises ``InvalidInput``."""
        if self.locks is None or not self.definition.locks:
            return ()
        return targets(self.definition.name, self.locks, self.decode_input(encoding.decode(text)))

    def encode_result(self, step: str, value: Any) -> str:
        """Give a step's result as JSON text. Raises ``EncodingError`` that names the step, field and type."""
        name = f"result of step {step}"
        schema = self._checked.get(step)
        plain = value if schema is None else schema.to_plain(value, name)
        return payloads.encode(plain, name, get_settings().max_result_bytes, "MAX_RESULT_BYTES")

    def encode_compensation_data(self, step: str, value: Any) -> str:
        """Give what a step hands to its compensation as JSON text. Raises ``EncodingError``."""
        name = f"compensation data of step {step}"
        return payloads.encode(value, name, get_settings().max_result_bytes, "MAX_RESULT_BYTES")

    def encode_undo_result(self, step: str, value: Any) -> str:
        """Give what a step's compensation returned as JSON text. Raises ``EncodingError``."""
        name = f"result of the compensation of step {step}"
        return payloads.encode(value, name, get_settings().max_result_bytes, "MAX_RESULT_BYTES")

    def decode_result(self, step: str, data: Any) -> Any:
        """Give a step's result as the dataclass or pydantic model its function is annotated with, if any;
        that of a step that was passed over is None.

        Raises ``EncodingError``.
        """
        schema = self._results.get(step)
        return (
            data
            if schema is None or (data is None and self._is_conditional(step))
            else schema.from_plain(data, f"result of step {step}")
        )

    def decode_output(self, data: Any) -> Any:
        """Give the saga's result as its declared type. Raises ``EncodingError``."""
        if data is None and any(self._is_conditional(step) for step in self.definition.sinks):
            return None
        return data if self._output is None else self._output.from_plain(data, "output")

    def _is_conditional(self, step: str) -> bool:
        return bool(self.definition[step].when)

    @cached_property
    def _input(self) -> Schema | None:
        return schema_for(self.input)

    @cached_property
    def _output(self) -> Schema | None:
        return schema_for(self.output)

    @cached_property
    def _results(self) -> Mapping[str, Schema]:
        found = {}
        for name, functions in self.functions.items():
            schema = result_schema(functions.do)
            if schema is not None:
                found[name] = schema
        return found

    @cached_property
    def _checked(self) -> Mapping[str, Schema]:
        # The last step's result is the saga's: what does not fit ``output`` fails there, and is undone.
        if self._output is None or len(self.definition.sinks) != 1:
            return self._results
        return {self.definition.sinks[0]: self._output, **self._results}

    # --- problems ---------------------------------------------------------------------------------

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong with the definition."""
        max_steps = get_settings().max_steps
        in_graph = validation.problems(self.definition, max_steps=max_steps)
        found = dict.fromkeys([*self.found, *in_graph, *self._schema_problems()])
        return tuple(replace(problem, hint=self._hint(problem)) for problem in found)

    def _hint(self, problem: Problem) -> str:
        return self.hints.get(problem.code, problem.hint)

    def require_valid(self) -> None:
        """Raise ``InvalidDefinition`` that lists the problems and their remedies, if there are any."""
        if self.problems:
            lines = "".join(f"\n- {problem}" for problem in self.problems)
            raise InvalidDefinition(f"Saga {self.definition} ({self.path}) cannot run:{lines}")

    def _schema_problems(self) -> list[Problem]:
        found = []
        for what in ("input", "output"):
            try:
                schema_for(getattr(self, what))
            except UnsupportedType as error:
                hint = (
                    "Give a dataclass of types that JSON can carry, a pydantic model or a serializer class."
                )
                found.append(Problem("schema", "", f"{what}: {error}.", hint))
        for name, functions in self.functions.items():
            try:
                result_schema(functions.do)
            except UnsupportedType as error:
                hint = "Use types that JSON can carry, or leave the return annotation out."
                found.append(Problem("schema", name, f"The return annotation: {error}.", hint))
        return found


def result_schema(function: StepFunction) -> Schema | None:
    """Give the schema of a function that says to return a dataclass or pydantic model; None for all others.

    Raises ``UnsupportedType``.
    """
    hint = _return_hint(function)
    if isinstance(hint, type) and callable(getattr(hint, "model_validate", None)):
        return schema_for(hint)
    return TypeSchema(hint) if _names_dataclass(hint) else None


def _return_hint(function: StepFunction) -> Any:
    try:
        hint = inspect.get_annotations(function).get("return")
        # Only this one is evaluated: ``ctx: Context`` may be imported for type checkers alone.
        return eval(hint, inspect.unwrap(function).__globals__) if isinstance(hint, str) else hint  # noqa: S307
    except (NameError, AttributeError, SyntaxError, TypeError):
        return None


def _names_dataclass(hint: Any) -> bool:
    """True for a dataclass, and for ``Receipt | None``, ``list[Receipt]`` and the like."""
    if get_origin(hint) is None:
        return isinstance(hint, type) and is_dataclass(hint)
    return any(_names_dataclass(arg) for arg in get_args(hint))
