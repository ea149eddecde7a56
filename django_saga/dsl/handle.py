"""What ``start()`` gives back, as far as this floor knows it; the engine's ``SagaHandle`` is one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from django_saga.core.state import SagaState
from django_saga.core.states import SagaStatus


class Handle(Protocol):
    """A started saga: ``id`` is known at once, all else is read afresh."""

    @property
    def id(self) -> UUID: ...

    @property
    def name(self) -> str: ...

    @property
    def using(self) -> str: ...

    @property
    def status(self) -> SagaStatus: ...

    @property
    def parent(self) -> Handle | None: ...

    @property
    def children(self) -> Sequence[Handle]: ...

    async def astatus(self) -> SagaStatus: ...

    def result(self, timeout: float | timedelta | None = None) -> Any: ...

    async def aresult(self, timeout: float | timedelta | None = None) -> Any: ...

    def state_at(self, at: datetime) -> SagaState: ...

    async def astate_at(self, at: datetime) -> SagaState: ...

    def cancel(self, reason: str = "") -> None: ...

    async def acancel(self, reason: str = "") -> None: ...
