"""What README and documentation show works: their Python is run, their commands exist."""

from __future__ import annotations

import re
import sys
from types import ModuleType

import pytest
from django.core.management import get_commands

from django_saga import signals
from django_saga.dsl.handler import handlers
from django_saga.dsl.registry import registry
from tests.repository import code_map
from tests.repository.files import ROOT, name
from tests.repository.snippets import Block, blocks, commands, pages, runnable

PAGES = pages()
WITH_CODE = [page for page in PAGES if runnable(page.read_text())]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_the_code_of_a_page_runs(page, monkeypatch):
    # A real module, so that dataclasses and annotations in it can be resolved.
    module = ModuleType("docs_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for signal in signals.TRANSITIONS.values():  # what a page connects is not to hear of other tests
        monkeypatch.setattr(signal, "receivers", [*signal.receivers])

    with registry.isolated(), handlers.isolated():
        for block in runnable(page.read_text()):
            # The empty lines make tracebacks point into the page.
            code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")
            exec(code, vars(module))  # noqa: S102


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_of_a_page_exists(page):
    shown = "\n".join(commands(page.read_text()))
    targets = re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert set(re.findall(r"\bmake +([a-z-]+)", shown)) - set(targets) == set()
    of_the_example = {path.stem for path in ROOT.glob("example_project/*/management/commands/*.py")}
    known = get_commands().keys() | of_the_example
    assert set(re.findall(r"\bmanage\.py +(\w+)", shown)) - known == set()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_marks_its_blocks_in_words_that_mean_something(page):
    python = [block for block in blocks(page.read_text()) if block.language.startswith("py")]
    known = [("python",), ("python", "no-run")]

    assert [block for block in python if (block.language, *block.flags) not in known] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_of_a_page_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_code_map_is_what_the_code_says():
    assert code_map.PAGE.read_text() == code_map.page(), "run: make code-map"


def test_blocks_are_read_in_order_with_their_line_and_without_their_indent():
    page = (
        "# Title\n<!-- snippet-setup\nimport os\n-->\n"
        "```python\nx = 1\n```\n"
        "* item\n\n  ```python no-run\n  if x:\n      y\n  ```\n"
        "````markdown\n```python\nz\n```\n````\n"
        "```console\n$ make test\nall passed\n$ ./manage.py migrate\n```\n"
    )

    assert blocks(page) == [
        Block(line=3, language="python", code="import os\n"),
        Block(line=6, language="python", code="x = 1\n"),
        Block(line=11, language="python", flags=("no-run",), code="if x:\n    y\n"),
        Block(line=15, language="markdown", code="```python\nz\n```\n"),
        Block(line=20, language="console", code="$ make test\nall passed\n$ ./manage.py migrate\n"),
    ]
    assert [block.line for block in runnable(page)] == [3, 6]
    assert commands(page) == ["make test", "./manage.py migrate"]
