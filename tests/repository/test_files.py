"""Files are short, and named after the question they answer."""

from __future__ import annotations

import pytest

from tests.repository.files import ROOT, name, python_files

LINES_BELOW = 400
NAMES_THAT_SAY_NOTHING = {"utils.py", "helpers.py", "common.py", "manager.py", "misc.py"}


def test_no_file_has_grown_past_its_question():
    lengths = {name(path): len(path.read_text().splitlines()) for path in python_files()}

    assert {path: length for path, length in lengths.items() if length >= LINES_BELOW} == {}


def test_no_file_has_a_name_that_says_nothing():
    assert [name(path) for path in python_files() if path.name in NAMES_THAT_SAY_NOTHING] == []


@pytest.mark.parametrize("path", sorted((ROOT / "changes").glob("*.md")), ids=name)
def test_a_change_fragment_says_of_which_kind_it_is(path):
    if path.name == "README.md":
        pytest.skip("explains the fragments")
    kinds = ("Added: ", "Changed: ", "Deprecated: ", "Removed: ", "Fixed: ", "Security: ")

    assert [line for line in path.read_text().splitlines() if not line.startswith(kinds)] == []
