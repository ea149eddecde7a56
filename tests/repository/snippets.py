"""Reads the code out of Markdown pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.repository.files import ROOT

_BLOCK = re.compile(
    r"^(?P<indent> *)(?P<ticks>`{3,})(?P<info>[^`\n]*)\n(?P<code>.*?)^(?P=indent)(?P=ticks) *$"
    r"|^<!-- snippet-setup\n(?P<setup>.*?)^-->$",
    re.MULTILINE | re.DOTALL,
)
_COMMAND = re.compile(r"^\$ (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block: its language, the words behind the language, and its text."""

    line: int
    language: str
    flags: tuple[str, ...] = ()
    code: str


def pages() -> list[Path]:
    """The README and every page of the documentation."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: str) -> list[Block]:
    """The blocks of ``page`` in order, hidden ``snippet-setup`` comments among them as Python."""
    found = []
    for match in _BLOCK.finditer(page):
        line = page.count("\n", 0, match.start()) + 2
        if match["setup"] is not None:
            found.append(Block(line=line, language="python", code=match["setup"]))
            continue
        language, *flags = match["info"].split() or [""]
        indent = match["indent"]
        code = "".join(text.removeprefix(indent) for text in match["code"].splitlines(keepends=True))
        found.append(Block(line=line, language=language, flags=tuple(flags), code=code))
    return found


def runnable(page: str) -> list[Block]:
    """The Python blocks of ``page`` that are to be run."""
    return [block for block in blocks(page) if block.language == "python" and "no-run" not in block.flags]


def commands(page: str) -> list[str]:
    """The commands that ``page`` tells its readers to type."""
    consoles = (block.code for block in blocks(page) if block.language == "console")
    return [command for code in consoles for command in _COMMAND.findall(code)]
