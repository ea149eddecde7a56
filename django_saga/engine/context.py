"""What a step sees: its input, the results before it, and the key that makes its effect idempotent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from django_saga.core import encoding
from django_saga.core.messages import CAUSATION, CORRELATION
from django_saga.core.states import Outcome
from django_saga.core.waits import WaitKind
from django_saga.engine import outputs, publishing
from django_saga.engine.tasks import Task, result_of
from django_saga.store.sagas import undo_of


class Results(Mapping[Any, Any]):
    """Results of earlier steps, by step or by its name; each look-up decodes a fresh copy."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __getitem__(self, step: Any) -> Any:
        name = step if isinstance(step, str) else step.name
        counts, text = result_of(self._task.program.definition, name, self._task.payloads)
        if text is None:
            known = ", ".join(sorted(self)) or "none"
            raise KeyError(
                f"step {self._task.row.name} has no result of {name!r}: it sees steps it waits for ({known})"
            )
        return self._task.program.decode_result(counts, encoding.decode(text))

    def __iter__(self) -> Iterator[str]:
        found = self._task.payloads.items()
        return (name for name, (result, _) in found if result is not None and ":" not in name)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Undone(Mapping[Any, Any]):
    """What compensations returned that ran before, by their step, its name, or the compensation itself; each
    look-up decodes a fresh copy.
    """

    def __init__(self, task: Task) -> None:
        self._task = task

    def __getitem__(self, step: Any) -> Any:
        name = step if isinstance(step, str) else step.step_name
        text = self._task.payloads.get(undo_of(name), (None, None))[0]
        if text is None:
            known = ", ".join(sorted(self)) or "none"
            raise KeyError(
                f"step {self._task.row.name} has nothing that the compensation of {name!r} returned; "
                f"those that returned something before it: {known}"
            )
        return encoding.decode(text)

    def __iter__(self) -> Iterator[str]:
        return (name.removesuffix(_UNDO) for name in self._task.payloads if name.endswith(_UNDO))

    def __len__(self) -> int:
        return sum(1 for _ in self)


_UNDO = undo_of("")


class Context:
    """Passed to every step and compensation.

    ``attempt`` counts from 1, ``idempotency_key`` stays the same over all attempts (``<saga id>:<step>:do``
    or ``:undo``).
    """

    def __init__(self, task: Task) -> None:
        self._task = task

    @property
    def saga_id(self) -> UUID:
        """The saga's id; in a compensation that a fork took over, of the saga in which the step had run."""
        return self._task.row.ran_in or self._task.row.saga_id

    @property
    def saga(self) -> str:
        """The saga's name."""
        return self._task.program.definition.name

    @property
    def version(self) -> int:
        """The version the saga was started with."""
        return self._task.program.definition.version

    @property
    def step(self) -> str:
        """The step's name."""
        return self._task.row.name

    @property
    def attempt(self) -> int:
        """Number of this attempt, counted at its claim."""
        return self._task.row.attempt

    @property
    def idempotency_key(self) -> str:
        """Hand this to the other side: it is the same on every attempt."""
        return self._task.idempotency_key

    @cached_property
    def input(self) -> Any:
        """What the step's input mapper makes, else the saga's input, of the type the saga declares."""
        mapper = self._task.program.functions[self.step].input
        return _given(self._task) if mapper is None else mapper(of_saga(self._task))

    @cached_property
    def results(self) -> Results:
        """Results of the steps this one waited for; in a compensation, all there are."""
        return Results(self._task)

    @cached_property
    def undone(self) -> Undone:
        """In a compensation: what those returned that ran before it."""
        return Undone(self._task)

    @cached_property
    def result(self) -> Any:
        """In a compensation: the step's ``compensation_data``, else its result, else None."""
        result, data = self._task.payloads.get(self._task.row.name, (None, None))
        if not self._task.undo:
            return None
        if data is not None:
            return encoding.decode(data)
        return None if result is None else self.results[self._task.row.name]

    def items(self, step: Any) -> Iterator[Any]:
        """Go through what the items of an earlier ``for_each`` step (or its name) gave, in the items' order.

        They are read some hundreds at a time, as plain data. Raises ``KeyError`` for any other step.
        """
        name = step if isinstance(step, str) else step.name
        spec = self._task.program.definition.by_name.get(name)
        if spec is None or spec.wait is None or spec.wait.kind is not WaitKind.EACH:
            raise KeyError(f"step {self._task.row.name}: {name!r} is no for_each step of this saga")
        if name not in self._task.program.definition.ancestors[self._task.row.name] and not self._task.undo:
            raise KeyError(
                f"step {self._task.row.name} does not come after {name!r}, whose items it asks for"
            )
        return outputs.of_items(self._task, name, spec.wait)

    def publish(
        self,
        topic: str,
        payload: Any = None,
        *,
        key: str | int | UUID | None = None,
        headers: Mapping[str, str] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        """Publish a message if this attempt succeeds: it is written with the result, in one transaction.

        As ``django_saga.publish``, but ``key`` is the saga's id by default, so that what a saga says on a
        topic stays in order. Raises ``InvalidMessage``, which fails the step for good.
        """
        marks = {CORRELATION: str(self.saga_id), CAUSATION: self.idempotency_key}
        self._task.messages.append(
            publishing.draft(
                topic,
                payload,
                self.saga_id if key is None else key,
                {**marks, **(headers or {})},
                context=context,
                saga_id=self._task.row.saga_id,
            )
        )

    @property
    def outcome(self) -> str:
        """In a compensation: ``"succeeded"``, ``"unknown"`` (it may have had its effect) or ``"failed"``
        (partial work).
        """
        return str(Outcome(self._task.row.outcome).value)

    @property
    def error(self) -> str:
        """In a compensation: why the saga turned back."""
        return self._task.background

    @property
    def times_out_at(self) -> datetime | None:
        """When this attempt times out and is fenced, in database time."""
        claimed = self._task.row.claimed_at
        return claimed + self._task.timeout if claimed else None

    @property
    def lease_lost(self) -> bool:
        """True once another worker has the step, or may have it: long steps ask and leave."""
        return self._task.lost or self._task.abandoned or self._task.lapsed

    @property
    def retrying_transaction(self) -> int:
        """In an atomic step: how often its transaction was run again after a deadlock or serialization
        failure.
        """
        return self._task.tries


def of_saga(task: Task) -> Context:
    """Give the context of input mappers and conditions: its input is the saga's."""
    whole = Context(task)
    whole.input = _given(task)
    return whole


def _given(task: Task) -> Any:
    return task.program.decode_input(encoding.decode(task.input))
