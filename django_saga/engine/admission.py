"""Which steps may begin now: not what an operator paused, and of what is limited, as many as there is room
for.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django_saga.core import lanes
from django_saga.core.limits import NO_LIMITS
from django_saga.core.state import ASKING
from django_saga.store import claims, limits, pauses
from django_saga.store.limits import Bound
from django_saga.store.rows import StepRow

if TYPE_CHECKING:
    from django_saga.dsl.program import Program

# Steps started or opened since their pause are put aside as they are met: so many claims in a row.
_ROUNDS = 5
# How often limits that were changed in code are looked after, in seconds.
_TIDY = 30.0


class Admission:
    """Claims for one process, which knows what is paused as of ``fresh_for`` seconds ago at most.

    Without ``limited``, limits are left out of account.
    """

    def __init__(
        self,
        using: str,
        programs: Mapping[int, Program],
        *,
        fresh_for: float = 0.0,
        limited: bool = True,
    ) -> None:
        self._using = using
        self._programs = programs
        self._fresh_for = fresh_for
        self._looked_at = self._tidied_at = -math.inf
        self._paused: frozenset[tuple[str, str]] = frozenset()
        self._bounds = _bounds(programs) if limited else {}
        self._keys = {  # of composed sagas, whose steps have names of their own, only what holds for all
            (pk, step): key
            for pk, program in programs.items()
            for step, key in program.definition.gate_keys.items()
        }
        self.limited = sorted(_lanes(programs)) if limited else []

    def look(self) -> None:
        """Read what is paused; callable from any thread."""
        self._paused = pauses.known(self._using)
        self._looked_at = time.monotonic()

    def tidy(self) -> None:
        """Once in a while, move steps that wait in lanes which nobody serves any more."""
        if time.monotonic() - self._tidied_at > _TIDY:
            self._tidied_at = time.monotonic()
            limits.tidy(self._using, self._keys, [lane for lane, _ in self.limited])

    def admits(self, row: StepRow) -> bool:
        """True unless the definition or the step's name is paused, as far as is known here."""
        if not self._paused:
            return True
        return self._paused.isdisjoint(pauses.over(self._name(row), row.name))

    def hands_over(self, row: StepRow) -> bool:
        """True when a step may begin without a claim: it is neither paused nor limited."""
        return not lanes.is_limited(row.executor) and self.admits(row)

    def claim(
        self,
        *,
        owner: UUID,
        queue: str,
        executor: str,
        limit: int,
        lease: timedelta,
        saga_id: UUID | None = None,
        step_id: UUID | None = None,
    ) -> list[StepRow]:
        """Lease up to ``limit`` due steps that may begin, as ``claims.claim`` does."""
        if time.monotonic() - self._looked_at > self._fresh_for:
            self.look()
        asked: dict[str, Any] = {"owner": owner, "queue": queue, "executor": executor, "lease": lease}
        asked |= {column: key for column, key in (("saga_id", saga_id), ("step_id", step_id)) if key}
        admitted: list[StepRow] = []
        for _ in range(_ROUNDS):
            rows = self._leased(limit - len(admitted), asked)
            rest = self._unbarred(rows)
            if self._bounds:
                rest = [row for row in rest if not self._strays(row)]
            admitted += rest
            if len(rest) == len(rows):
                break
        return admitted

    def still(self, rows: Sequence[StepRow]) -> list[StepRow]:
        """Give those of ``rows``, claimed some time ago, that may begin now; give back the others."""
        if not rows:
            return []
        self.look()
        return self._unbarred([row for row in rows if row.definition_id in self._programs])

    def _unbarred(self, rows: list[StepRow]) -> list[StepRow]:
        barred = [(self._name(row), row) for row in rows if not self.admits(row)]
        if not barred:
            return rows
        pauses.put_aside(self._using, barred)
        return [row for row in rows if self.admits(row)]

    def _leased(self, limit: int, asked: dict[str, Any]) -> list[StepRow]:
        known = list(self._programs)
        bounds = self._bounds.get(lanes.split(asked["executor"])[1])
        if bounds:
            return limits.claim(self._using, bounds, definitions=known, limit=limit, **asked)
        return claims.claim(self._using, definitions=known, limit=limit, **asked)

    def _strays(self, row: StepRow) -> bool:
        """True for a step that was put into its lane before it was limited; it is moved."""
        executor, key = lanes.split(row.executor)
        right = "" if row.undo or row.reason == ASKING else self._key(row)
        if key == right:
            return False
        assert row.owner is not None
        claims.release(self._using, owner=row.owner, rows=[row], lane=executor + right)
        return True

    def _key(self, row: StepRow) -> str:
        known = self._keys.get((row.definition_id, row.name))
        if known is not None:
            return known
        definition = self._programs[row.definition_id].definition
        return lanes.gate_key(definition.name, "") if definition.limits != NO_LIMITS else ""

    def _name(self, row: StepRow) -> str:
        return self._programs[row.definition_id].definition.name


def _bounds(programs: Mapping[int, Program]) -> dict[str, list[Bound]]:
    """Give what bounds the claims of each gate's lanes, by its key; of versions, the last one's limits."""
    found: dict[str, dict[str, Bound]] = defaultdict(dict)
    for program in sorted(programs.values(), key=lambda each: each.definition.version):
        definition = program.definition
        if definition.limits != NO_LIMITS:
            found[lanes.gate_key(definition.name, "")][""] = Bound(definition.name, "", definition.limits)
        for step in definition.steps:
            if step.limits != NO_LIMITS:
                bound = Bound(definition.name, step.name, step.limits)
                found[definition.gate_keys[step.name]][step.name] = bound
    return {key: list(bounds.values()) for key, bounds in found.items()}


def _lanes(programs: Mapping[int, Program]) -> set[tuple[str, str]]:
    """Give the lanes that have a gate, each with a queue that it is used in."""
    found = set()
    for program in programs.values():
        for step in program.definition.steps:
            if key := program.definition.gate_keys[step.name]:
                found |= {(program.definition.lanes[step.name], step.queue), (lanes.ALONE + key, step.queue)}
    return found
