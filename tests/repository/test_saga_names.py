"""No test names a saga of its own as one that all tests know: its history would not fit the other's graph."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from django_saga.dsl.saga import _snake_case
from tests.processes import ROOT

_SHARED = ROOT / "tests" / "sagas"


def names_in(path: Path, *, local: bool) -> Iterator[tuple[str, str]]:
    """Give the names of saga classes, those at the top of a module or the others, and where they are."""
    tree = ast.parse(path.read_text())
    at_top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and (id(node) in at_top) is not local:
            bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
            if any(base.endswith("Saga") for base in bases):
                yield _named(node), f"{path.relative_to(ROOT)}:{node.lineno}"


def _named(node: ast.ClassDef) -> str:
    said = {
        target.id: str(line.value.value)
        for line in node.body
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant)
        for target in line.targets
        if isinstance(target, ast.Name)
    }
    return f"{said.get('name', _snake_case(node.name))} v{said.get('version', 1)}"


def test_sagas_of_single_tests_have_names_of_their_own():
    shared = {name: where for path in _SHARED.rglob("*.py") for name, where in names_in(path, local=False)}
    assert len(shared) > 30

    clashes = {
        where: shared[name]
        for path in (ROOT / "tests").rglob("*.py")
        for name, where in names_in(path, local=True)
        if name in shared
    }

    assert clashes == {}
