"""The plugin gives pytest a lab and stories, and is no trouble where there is no Django."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.repository.files import ROOT

PLUGIN = "django_saga.testing.plugin"
WITHOUT_DJANGO = """
import sys

def test_it_imports_no_django():
    assert "django_saga.testing.plugin" in sys.modules
    assert "django" not in sys.modules
"""
WITH_SAGAS = """
import pytest
from django.db import transaction
from tests.sagas.lab_sagas import LabSaga

def test_that_passes(saga_lab):
    assert LabSaga.run({"amount": 5}).status == "completed"

def test_that_fails(saga_lab):
    saga_lab.fail_at("ship")
    assert LabSaga.run({"amount": 5}).status == "completed"

@pytest.mark.django_db(transaction=True)
def test_with_commits(saga_lab):
    assert not transaction.get_connection().in_atomic_block
    assert LabSaga.run({"amount": 5}).status == "completed"

def test_whose_fault_never_strikes(saga_lab):
    saga_lab.fail_at("ship")
"""


def run_pytest(folder: Path, tests: str, *options: str) -> str:
    """The output of a run of pytest that loads nothing by itself."""
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (folder / "test_it.py").write_text(tests)
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-p", PLUGIN, *options, "."],
        cwd=folder,
        env={
            **env,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(ROOT),
            # A database of its own, whichever the other tests have.
            "SAGA_TEST_DATABASE": "sqlite",
            "SAGA_TEST_DATABASE_NAME": "",
        },
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def test_the_package_brings_the_plugin_along():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["entry-points"]["pytest11"] == {"django_saga": PLUGIN}


def test_a_project_without_django_runs_its_tests(tmp_path):
    output = run_pytest(tmp_path, WITHOUT_DJANGO)

    assert "1 passed" in output, output


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> str:
    return run_pytest(tmp_path_factory.mktemp("project"), WITH_SAGAS, "-p", "django", "--ds=tests.settings")


def test_the_fixture_is_an_open_lab_on_the_database_of_the_test(output):
    assert "test_that_passes PASSED" in output, output
    assert "test_with_commits PASSED" in output


def test_the_report_of_a_failing_test_tells_the_stories_of_its_sagas(output):
    assert "1 failed" in output, output
    story = output.partition("- sagas -")[2]
    assert "Story of lab v1 " in story
    assert ": compensated (failed at ship" in story
    assert "    attempt 1: failed: django_saga.exceptions.PermanentFailure: the test had it fail" in story


def test_a_fault_that_never_struck_is_an_error_of_its_test(output):
    assert "1 error" in output, output
    assert "AssertionError: Planned, but no attempt came there: fail_at('ship')." in output
