"""Writes docs/explanation/code-map.md: which module answers which question, in the words of its docstring."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator

from tests.repository.files import PACKAGE, ROOT

PAGE = ROOT / "docs" / "explanation" / "code-map.md"

HEAD = """\
# Code map

Which module answers which question. Modules stand on floors and import only from floors below; siblings on
one floor do not import each other. The import contracts in `pyproject.toml` hold that (`make imports`), and
a module that is on no floor fails them. This page is written by `make code-map` from the modules'
docstrings.

One way for data: a caller's wish, a timer or a worker's result becomes an *event*; `engine` loads the saga
under its lock; `core.machine` decides; `store` writes the decision in one fenced transaction; signals and
wake-ups follow the commit. Nothing else writes a status.
"""


def page() -> str:
    """The page as it has to be for the code as it is."""
    floors: list[str] = []
    for number, rooms in enumerate(reversed(list(_floors()))):
        if rooms:
            rows = "".join(row for room in rooms for row in _rows(room))
            floors.append(
                f"\n## Floor {number}: {', '.join(rooms)}\n\n| module | what it answers |\n|---|---|\n{rows}"
            )
    return HEAD + "".join(reversed(floors))


def _floors() -> Iterator[list[str]]:
    """The rooms of each floor that have been built, from the top."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    for layer in next(contract["layers"] for contract in contracts if contract["type"] == "layers"):
        rooms = re.findall(r"\w+", layer)
        if rooms != ["migrations"]:
            yield [room for room in rooms if _exists(room)]


def _exists(room: str) -> bool:
    return any((PACKAGE / room).glob("*.py")) or (PACKAGE / f"{room}.py").is_file()


def _rows(room: str) -> Iterator[str]:
    paths = sorted((PACKAGE / room).rglob("*.py")) if (PACKAGE / room).is_dir() else [PACKAGE / f"{room}.py"]
    for path in paths:
        dotted = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        docstring = ast.get_docstring(ast.parse(path.read_text()))
        if docstring:
            summary = " ".join(docstring.partition("\n\n")[0].split()).replace("|", "\\|")
            yield f"| `{dotted}` | {summary.replace('``', '`')} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
