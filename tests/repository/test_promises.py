"""The promises name the faults that tests cover: all of them, and no others."""

import re

from tests.repository.files import ROOT, python_files

PAGE = ROOT / "docs" / "explanation" / "promises.md"
# What the foundation has to cover.
FOUNDATION = {
    f"F{number:02}"
    for number in (*range(1, 19), *range(20, 24), *range(25, 30), 32, 38, 40, 44, 45, 47, 49, 50, 53, 55)
}


def cited(text: str) -> set[str]:
    return set(re.findall(r"\bF\d\d\b", text))


def ids_in_tests() -> set[str]:
    """The ids that ``fault`` marks in the tests name."""
    marks = (re.findall(r"mark\.fault\(([^)]*)\)", path.read_text()) for path in python_files("tests"))
    return {found for mark in marks for arguments in mark for found in cited(arguments)}


def test_every_fault_that_the_promises_name_has_a_test():
    assert cited(PAGE.read_text()) - ids_in_tests() == set()


def test_the_foundations_faults_are_all_named_and_tested():
    assert FOUNDATION - ids_in_tests() == set()
    assert FOUNDATION - cited(PAGE.read_text()) == set()
