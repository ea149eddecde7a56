"""Whether the books agree: what the apps say of their cases against what the services outside really did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, ClassVar, Generic, TypeVar

from example_project.cases.models import Case
from example_project.cases.progress import with_sagas

C = TypeVar("C", bound=Case)


class End(Enum):
    """How a case ended."""

    COMPLETED = "completed"
    UNDONE = "undone"
    OPEN = "open"  # under way still, or waiting for a person: nothing can be said of it yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One line of a service's ledger."""

    action: str
    reference: str
    key: str
    amount: Decimal

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Effect:
        """Read it as a service reports it."""
        return cls(
            action=row["action"], reference=row["reference"], key=row["key"], amount=Decimal(row["amount"])
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealing:
    """What a service should have in its ledger: once it completed, ``done`` of ``amount`` and nothing
    ``undone``; once it was undone, as much of the one as of the other.

    ``end`` is None when the case and its saga do not tell the same.
    """

    reference: str
    done: str
    undone: str
    amount: Decimal
    end: End | None


def end_of(case: Case) -> End | None:
    """Return how both a case (of ``with_sagas``) and its saga say it ended; None when they differ."""
    if case.saga is None:
        return None
    match case.saga.status:
        case "completed":
            return End.COMPLETED if case.status == case.DONE else None
        case "compensated":
            return End.UNDONE if case.status == case.UNDONE else None
    return End.OPEN


def disagreements(dealings: Sequence[Dealing], effects: Sequence[Effect]) -> list[str]:
    """Return what does not fit, one sentence each; empty when all is well."""
    by_reference: dict[str, list[Effect]] = {dealing.reference: [] for dealing in dealings}
    found = [
        f"Key {key} had its effect {count} times."
        for key, count in Counter(effect.key for effect in effects).items()
        if count > 1
    ]
    for effect in effects:
        if effect.reference in by_reference:
            by_reference[effect.reference].append(effect)
        else:
            found.append(f"There is an effect for {effect.reference}, which no app knows: {effect}")
    # A case that does not agree with its saga is told once, whatever it deals with.
    differing = {dealing.reference for dealing in dealings if dealing.end is None}
    found += [f"{reference}: it and its saga do not tell the same end." for reference in sorted(differing)]
    for dealing in dealings:
        found.extend(_problems(dealing, by_reference[dealing.reference]))
    return found


class Books(Generic[C]):
    """The books of one kind of case, from the moment this is made, or of all there are.

    A database may know cases of earlier runs, and the ledgers of the services that did those are gone.
    """

    cases: ClassVar[type[Case]]
    saga: ClassVar[str]
    # What is true when there are no ``problems``.
    promise: ClassVar[str]

    def __init__(self, *, from_now: bool = True) -> None:
        rows = self.cases._default_manager.order_by("pk").values_list("pk", flat=True)
        self._last_before = (rows.last() or 0) if from_now else 0

    def read(self) -> list[C]:
        """Return the cases, each with its saga."""
        return with_sagas(self.rows().filter(pk__gt=self._last_before))

    def rows(self) -> Any:
        """Return the query of all cases."""
        return self.cases._default_manager.all()

    def dealings(self, case: C) -> Iterable[Dealing]:
        """Return what services outside should have in their ledgers about ``case``."""
        return ()

    def problems(self, cases: Sequence[C]) -> Iterable[str]:
        """Return what does not fit in the app's own tables, one sentence each."""
        return ()


def _problems(dealing: Dealing, effects: Iterable[Effect]) -> Iterator[str]:
    amounts: dict[str, list[Decimal]] = {}
    for effect in effects:
        amounts.setdefault(effect.action, []).append(effect.amount)
    made, taken_back = amounts.get(dealing.done, []), amounts.get(dealing.undone, [])
    there = f"{dealing.done} {_listed(made)}, {dealing.undone} {_listed(taken_back)}."
    if dealing.end is End.COMPLETED and (made != [dealing.amount] or taken_back):
        yield (
            f"{dealing.reference} is completed and should have one of {dealing.done}, "
            f"of {dealing.amount}: {there}"
        )
    if dealing.end is End.UNDONE and sum(made) != sum(taken_back):
        yield f"{dealing.reference} is undone, but not evened out: {there}"


def _listed(amounts: Sequence[Decimal]) -> str:
    return "[" + ", ".join(str(amount) for amount in amounts) + "]"
