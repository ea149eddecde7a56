"""All sagas of this process by name and version."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from django_saga.core.problem import did_you_mean
from django_saga.dsl.program import Program
from django_saga.exceptions import UnknownSaga

Key: TypeAlias = tuple[Any, Any]  # name and version; a wrong definition may hold anything here


class Registry:
    """Programs by name and version; filled as saga classes are created."""

    def __init__(self) -> None:
        self._programs: dict[Key, Program] = {}
        self._rivals: dict[Key, list[Program]] = {}
        self._lock = threading.Lock()

    def register(self, program: Program) -> None:
        """Add ``program``. The same class again (a reloaded module) takes the place of the old one."""
        key = _key(program)
        with self._lock:
            first = self._programs.get(key)
            if first is None or first.path == program.path:
                self._programs[key] = program
                return
            rivals = [rival for rival in self._rivals.get(key, []) if rival.path != program.path]
            self._rivals[key] = [*rivals, program]

    def get(self, name: str, version: int) -> Program:
        """Give the program of ``name`` and ``version``. Raises ``UnknownSaga``."""
        program = self._programs.get((name, version))
        if program is None:
            raise UnknownSaga(self._unknown(name, version))
        return program

    def latest(self, name: str) -> Program:
        """Give the program of ``name`` with the highest version. Raises ``UnknownSaga``."""
        versions = self._versions(name)
        if not versions:
            raise UnknownSaga(self._unknown(name, None))
        return self._programs[name, versions[-1]]

    def all(self) -> list[Program]:
        """Give all programs, ordered by name and version."""
        return [self._programs[key] for key in sorted(self._programs, key=_rank)]

    def every(self) -> list[Program]:
        """Give all programs, those too whose name and version another class claims: for checks."""
        rivals = [rival for key in sorted(self._rivals, key=_rank) for rival in self._rivals[key]]
        return [*self.all(), *rivals]

    def conflicts(self) -> list[list[Program]]:
        """Give the programs that share a name and version: all of them, for each such pair."""
        return [[self._programs[key], *self._rivals[key]] for key in sorted(self._rivals, key=_rank)]

    def rivals(self, program: Program) -> list[Program]:
        """Give the other classes that claim the name and version of ``program``."""
        key = _key(program)
        if key not in self._rivals:
            return []
        return [other for other in (self._programs[key], *self._rivals[key]) if other is not program]

    @contextmanager
    def isolated(self, *programs: Program) -> Iterator[None]:
        """Know only ``programs``, and what is registered meanwhile, until the block ends: for tests."""
        with self._lock:
            before = self._programs, self._rivals
            self._programs, self._rivals = {_key(program): program for program in programs}, {}
        try:
            yield
        finally:
            with self._lock:
                self._programs, self._rivals = before

    def _versions(self, name: str) -> list[int]:
        found = [key for key in self._programs if key[0] == name]
        return [version for _, version in sorted(found, key=_rank)]

    def _unknown(self, name: str, version: int | None) -> str:
        if versions := self._versions(name):
            listed = ", ".join(map(str, versions))
            return f"Saga {name!r} is not known here in version {version}; known versions: {listed}."
        names = sorted({known for known, _ in self._programs})
        known = (
            f"Known are {', '.join(names)}."
            if names
            else "None is known: is it in the sagas.py of an installed app?"
        )
        return f"No saga is named {name!r}.{did_you_mean(name, names)} {known}"


registry = Registry()


def _key(program: Program) -> Key:
    return program.definition.name, program.definition.version


def _rank(key: Key) -> tuple[str, float]:
    name, version = key
    return str(name), version if isinstance(version, int) else 0
