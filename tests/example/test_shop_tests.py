"""The shop's own tests pass, as whoever copies the shop would run them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.processes import ROOT


# On SQLite in memory, whatever the other tests run on.
@pytest.mark.sqlite
def test_the_shop_passes_its_own_tests():
    pytest.importorskip("rest_framework", reason="the shop's API needs Django REST framework")
    env = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    env |= {"DJANGO_SETTINGS_MODULE": "example_project.settings", "PYTHONPATH": str(ROOT)}

    done = subprocess.run(
        [sys.executable, "-m", "django", "test", "example_project.shop"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    assert "Ran 2 tests" in done.stderr
