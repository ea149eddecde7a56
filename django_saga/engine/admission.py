"""Which steps may begin now: what an operator paused is put aside until it is resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django_saga.store import claims, pauses
from django_saga.store.rows import StepRow

if TYPE_CHECKING:
    from django_saga.dsl.program import Program

# Steps started or opened since their pause are put aside as they are met: so many claims in a row.
_ROUNDS = 5


class Admission:
    """Claims for one process, which knows what is paused as of ``fresh_for`` seconds ago at most."""

    def __init__(self, using: str, programs: Mapping[int, Program], *, fresh_for: float = 0.0) -> None:
        self._using = using
        self._programs = programs
        self._fresh_for = fresh_for
        self._looked_at = -math.inf
        self._paused: frozenset[tuple[str, str]] = frozenset()

    def look(self) -> None:
        """Read what is paused; callable from any thread."""
        self._paused = pauses.known(self._using)
        self._looked_at = time.monotonic()

    def admits(self, row: StepRow) -> bool:
        """True unless the definition or the step's name is paused, as far as is known here."""
        if not self._paused:
            return True
        return self._paused.isdisjoint(pauses.over(self._name(row), row.name))

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
        only = {column: key for column, key in (("saga_id", saga_id), ("step_id", step_id)) if key}
        admitted: list[StepRow] = []
        for _ in range(_ROUNDS):
            rows = claims.claim(
                self._using,
                owner=owner,
                queue=queue,
                executor=executor,
                definitions=list(self._programs),
                limit=limit - len(admitted),
                lease=lease,
                **only,
            )
            barred = [row for row in rows if not self.admits(row)]
            admitted += [row for row in rows if row not in barred] if barred else rows
            if not barred:
                break
            pauses.put_aside(self._using, [(self._name(row), row) for row in barred])
        return admitted

    def _name(self, row: StepRow) -> str:
        return self._programs[row.definition_id].definition.name
