"""The page of the reference lists every check, and none that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

import django_saga.checks
from tests.repository.files import ROOT

CODE = Path(str(django_saga.checks.__file__)).parent


def test_the_page_and_the_code_name_the_same_checks():
    page = (ROOT / "docs" / "reference" / "checks.md").read_text()
    code = "".join(path.read_text() for path in sorted(CODE.glob("*.py")))

    assert re.findall(r"^\| `(django_saga\.[EW]\d+)` \|", page, re.MULTILINE) == sorted(
        set(re.findall(r'"(django_saga\.[EW]\d+)"', code))
    )
