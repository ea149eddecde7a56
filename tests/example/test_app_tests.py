"""The apps' own tests pass, as whoever copies an app would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from example_project.domains import DOMAINS
from tests.processes import ROOT


# On SQLite in memory, whatever the other tests run on.
@pytest.mark.slow
@pytest.mark.sqlite
@pytest.mark.parametrize("app", [*(domain.app for domain in DOMAINS), "club"])
def test_an_app_passes_its_own_tests(app):
    pytest.importorskip("rest_framework", reason="the apps' APIs need Django REST framework")
    env = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    env |= {"DJANGO_SETTINGS_MODULE": "example_project.settings", "PYTHONPATH": str(ROOT)}

    done = subprocess.run(
        [sys.executable, "-m", "django", "test", f"example_project.{app}"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    assert re.search(r"^Ran [1-9]\d* tests", done.stderr, re.MULTILINE), done.stderr
