"""Every way in which the steps of a saga may go wrong, one case after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import transaction

from django_saga.conf import get_settings
from django_saga.core.states import ForwardRecovery, SagaStatus
from django_saga.dsl.handle import Handle
from django_saga.dsl.saga import Saga
from django_saga.exceptions import OutcomeUnknown, PermanentFailure, RetryLater
from django_saga.models import SagaInstance
from django_saga.testing import invariants
from django_saga.testing.lab import SagaLab
from django_saga.testing.plan import Crash, Fault, Place


class _Mishap(NamedTuple):
    """What befalls a step, said for people, and as the facts of a ``Fault``."""

    told: str
    failure: Callable[[], BaseException] | None = None
    after_effect: bool = False
    times: int | None = 1
    calls: int = 1
    cancels: bool = False


def _refusal() -> Exception:
    return PermanentFailure("the test had it fail")


def _lost_answer() -> Exception:
    return OutcomeUnknown("the test lost the answer")


def _once_more() -> Exception:
    # Asked for, another attempt is made whichever errors the policy tries again.
    return RetryLater(1, "the test had it fail")


_NOTHING = _Mishap("nothing goes wrong")
_ANYWHERE = [
    _Mishap("crashes before its effect", Crash),
    _Mishap("crashes after its effect", Crash, after_effect=True),
    _Mishap("runs twice", calls=2),
]
_CANCELLED = _Mishap("is in flight when the saga is cancelled", cancels=True)
_STEP = [_Mishap("fails before its effect", _refusal), *_ANYWHERE, _CANCELLED]
# An atomic step has its effect when it is recorded: it is never in doubt.
_ATOMIC_STEP = [*_STEP, _Mishap("fails after its effect", _refusal, after_effect=True)]
_OUTSIDE_STEP = [
    *_STEP,
    _Mishap("loses its answer", _lost_answer, after_effect=True),
    _Mishap("loses every answer", _lost_answer, after_effect=True, times=None),
]
_UNDO = [
    _Mishap("fails once before its effect", _once_more),
    _Mishap("fails once after its effect", _once_more, after_effect=True),
    *_ANYWHERE,
]


def saga_matrix(saga: type[Saga]) -> list[SagaCase]:
    """Give the cases of ``saga``: nothing goes wrong, and each way in which each step, or its compensation,
    may.

    They are parameters for ``pytest.mark.parametrize``, and for a loop with ``subTest``. Asks no database.
    """
    cases = [SagaCase(saga, "", False, _NOTHING)]
    definition = saga.program.definition
    for step in definition.steps:
        if step.name in definition.mains:
            continue  # it runs only where another one failed
        no_way_back = step.pivot or step.name in definition.past_pivot
        cases += [
            SagaCase(saga, step.name, False, how)
            for how in (_ATOMIC_STEP if step.atomic else _OUTSIDE_STEP)
            if not (no_way_back and how is _CANCELLED)
            # One that is tried for ever would be so here.
            and not (how.times is None and step.forward_recovery is ForwardRecovery.RETRY)
        ]
        if step.undo is not None and not step.pivot:
            # The first failure of one that is tried once is for a person.
            cases += [
                SagaCase(saga, step.name, True, how)
                for how in (_UNDO if step.undo.retry.attempts > 1 else _ANYWHERE)
            ]
    return cases


@dataclass(frozen=True)
class SagaCase:
    """One way in which a saga may go wrong; ``str()`` says which. ``undo``: it befalls the compensation."""

    saga: type[Saga]
    step: str
    undo: bool
    _mishap: _Mishap = field(repr=False)

    def __str__(self) -> str:
        where = f"{'undo of ' if self.undo else ''}{self.step}: " if self.step else ""
        return where + self._mishap.told

    @property
    def __name__(self) -> str:
        """What pytest calls the case in the test's id."""
        return str(self)

    @contextmanager
    def run(
        self, input: Any = None, *, answers: Mapping[str, Any] | None = None, using: str | None = None
    ) -> Iterator[Handle]:
        """Start the saga with ``input``, carry it to rest while it goes wrong, and give its handle.

        ``input`` is one with which the saga completes when nothing goes wrong. ``answers`` are, by the name
        of the step, the payloads of events and what persons fill in to approve, for steps that wait for
        them. What is written to the
        database from here to the block's end is rolled back. Raises ``AssertionError`` when the saga ends
        neither completed nor compensated, when it never comes to the step, or when an invariant does not
        hold. That, and any error that leaves the block, has the saga's story as a note.
        """
        using = using or get_settings().database
        with _rolled_back(using), SagaLab(using) as lab:
            for fault in self._faults():
                lab.plan.add(fault)
            for step, answer in (answers or {}).items():
                lab.answer(step, answer)
            saga = self.saga.start(input, using=using)
            lab.run()
            self._check(saga, lab)
            yield saga

    def _check(self, saga: Handle, lab: SagaLab) -> None:
        if lab.plan.never_struck():
            raise AssertionError(
                f"{self}: the saga never came there. Give an input with which it completes when nothing goes "
                "wrong, and leave out the cases of steps that it does not come to."
            )
        allowed = [SagaStatus.COMPLETED, *([SagaStatus.COMPENSATED] if self.step else [])]
        definition = self.saga.program.definition
        if self.step in {definition.pivot, *definition.past_pivot} - {""}:
            allowed.append(SagaStatus.STUCK)  # forward is the only way, and a person has to find it
        if (status := saga.status) not in allowed:
            raise AssertionError(f"{self}: the saga is {status}, not {' or '.join(allowed)}.")
        invariants.check(SagaInstance.objects.using(lab.using).filter(pk=saga.id))

    def _faults(self) -> Iterator[Fault]:
        if self.undo:
            yield self._turn_back()
        if self.step:
            told, failure, after_effect, times, calls, cancels = self._mishap
            yield Fault(
                told=told,
                place=Place(self.step, self.undo, self.saga.program.definition.name),
                failure=failure,
                after_effect=after_effect,
                times=times,
                calls=calls,
                cancels=cancels,
            )

    def _turn_back(self) -> Fault:
        """Have the saga turn back once the step has succeeded: the last step behind it fails, or, with none
        behind it, the saga is cancelled while it is in flight.
        """
        definition = self.saga.program.definition
        behind = [
            name
            for name in definition.order
            if self.step in definition.ancestors[name] and name not in definition.past_pivot
        ]
        where = Place(behind[-1] if behind else self.step, saga=definition.name)
        return Fault(
            told=f"the saga turns back at {where.step}",
            place=where,
            failure=_refusal if behind else None,
            cancels=not behind,
        )


@contextmanager
def _rolled_back(using: str) -> Iterator[None]:
    block = transaction.atomic(using=using)
    block._from_testcase = True  # type: ignore[attr-defined]  # as it is: sagas may commit their steps inside
    with block:
        try:
            yield
        finally:
            transaction.set_rollback(True, using=using)
