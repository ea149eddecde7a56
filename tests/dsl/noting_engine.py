"""An engine that starts nothing: it notes how it was called, and its handles say so."""

from __future__ import annotations

from typing import Any


class NotingEngine:
    """Stands behind ``ports.engine()``; a handle is the call that would have made it."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def start(
        self,
        program: Any,
        text: str,
        *,
        idempotency_key: str | None,
        run_at: Any,
        priority: int | None,
        using: str | None,
    ) -> Any:
        return self._note("start", program, text, idempotency_key, run_at, priority, using)

    def run(self, program: Any, text: str, *, idempotency_key: str | None, using: str | None) -> Any:
        return self._note("run", program, text, idempotency_key, using)

    def bulk_start(
        self, program: Any, texts: list[str], *, run_at: Any, priority: int | None, using: str | None
    ) -> list[Any]:
        self._note("bulk_start", program, texts, run_at, priority, using)
        return [(program, text) for text in texts]

    def get(self, program: Any, saga_id: Any, *, using: str | None) -> Any:
        return self._note("get", program, saga_id, using)

    def _note(self, *call: Any) -> tuple[Any, ...]:
        self.calls.append(call)
        return call
