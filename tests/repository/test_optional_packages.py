"""Whoever installs Django alone can use django-saga: every optional package stays in its adapter."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.repository.files import PACKAGE, ROOT, python_files
from tests.repository.optional import ADAPTERS, TEST_RUNNER


@pytest.mark.parametrize("package", ADAPTERS | TEST_RUNNER)
def test_an_optional_package_is_imported_in_its_adapter_only(package):
    importers = {_dotted(path) for path in python_files("django_saga") if package in _imported(path)}

    assert importers == (ADAPTERS | TEST_RUNNER)[package]


def test_the_environment_without_extras_has_none():
    if not os.environ.get("SAGA_TEST_WITHOUT_EXTRAS"):
        pytest.skip("for the environment without extras")
    assert [package for package in ADAPTERS if find_spec(package)] == []


def test_a_saga_runs_without_any_optional_package(tmp_path):
    """In a process of its own, where importing any of them is an error."""
    script = Path(__file__).with_name("without_extras.py")

    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "saga.sqlite3")],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "completed {'greeting': 'Hello, world'}\n", "")


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


@cache
def _imported(path: Path) -> frozenset[str]:
    """The top-level packages that ``path`` imports when it runs, not those that only a type checker reads."""
    return frozenset(_imports(ast.parse(path.read_text())))


def _imports(module: ast.Module) -> Iterator[str]:
    nodes: list[ast.AST] = [module]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes.extend(node.orelse)
        else:
            nodes.extend(ast.iter_child_nodes(node))
