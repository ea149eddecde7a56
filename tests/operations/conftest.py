"""A saga with as many versions as a test asks for, which says what ran."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import pytest

from django_saga import Retry, Saga, step
from django_saga.dsl.registry import registry
from django_saga.testing import assert_saga_invariants

PATIENT = Retry(attempts=5, delay=60, jitter=0)


@pytest.fixture
def ran() -> list[str]:
    """What ran, in order."""
    return []


@pytest.fixture
def troubles() -> dict[str, Exception]:
    """What a step raises, by its name."""
    return {}


@pytest.fixture
def define(ran: list[str], troubles: dict[str, Exception]):
    """Make a version of the saga ``order`` with the given steps, of those that are known."""

    def play(version: int, name: str, ctx: Any) -> Any:
        ran.append(f"v{version} {name} {ctx.attempt}")
        if name in troubles:
            raise troubles[name]
        return {"by": f"v{version} {name}"}

    def define(version: int, *names: str, bare: str = "", **body: Any) -> type[Saga]:
        for name in names:

            def do(self, ctx, name=name):
                return play(version, name, ctx)

            def undo(self, ctx, name=name):
                play(version, f"un{name}", ctx)
                ran[-1] += f" {ctx.result}"

            queue = "parcels" if name == "ship" else "default"
            body[name] = step(name=name, retry=PATIENT, queue=queue, no_compensation=name == bare)(do)
            if name != bare:
                body[f"un{name}"] = body[name].compensation(retry=Retry(attempts=1))(undo)
        body |= {"name": "order", "version": version, "__module__": __name__}

        def write(namespace: dict[str, Any]) -> None:
            for name in body:
                namespace[name] = body[name]

        return types.new_class(f"Order{version}", (Saga,), exec_body=write)

    with registry.isolated():
        yield define
        assert_saga_invariants()


@pytest.fixture
def old(define: Callable[..., type[Saga]]) -> type[Saga]:
    """Version 1: reserve, then ship."""
    return define(1, "reserve", "ship")


@pytest.fixture
def new(old: type[Saga], define: Callable[..., type[Saga]]) -> type[Saga]:
    """Version 2: what was reserve is book, and before the goods are shipped they are checked."""
    return define(2, "book", "check", "ship", bare="check")
