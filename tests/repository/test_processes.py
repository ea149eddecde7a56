"""The tools for tests with real processes do what those tests rely on."""

import signal

import psutil
import pytest
from django.contrib.auth.models import Group

from tests.processes import saga_tables, wait_until

pytestmark = [pytest.mark.crash, pytest.mark.django_db(transaction=True)]

SEES_GROUPS = """
import django; django.setup()
from django.contrib.auth.models import Group
print("groups:", *Group.objects.values_list("name", flat=True))
Group.objects.create(name="from the child")
"""
LIVES_ON = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid)
time.sleep(600)
"""


def test_a_process_works_on_the_very_test_database(start_python):
    Group.objects.create(name="from the test")

    process = start_python("-c", SEES_GROUPS)

    process.wait_for_line("^groups: from the test$")
    assert wait_until(lambda: Group.objects.filter(name="from the child").first()).name == "from the child"
    assert process.wait() == 0


def test_kill9_takes_the_children_along(start_python):
    process = start_python("-c", LIVES_ON)
    child = int(process.wait_for_line(r"^child (\d+)$")[1])

    process.kill9()

    assert process.wait() == -signal.SIGKILL
    wait_until(lambda: not _is_running(child))


def test_the_end_of_a_test_takes_along_what_a_killed_parent_left(start_python):
    process = start_python("-c", LIVES_ON)
    child = int(process.wait_for_line(r"^child (\d+)$")[1])
    process.kill9(only_parent=True)
    assert _is_running(child)

    process.end()

    wait_until(lambda: not _is_running(child))


def test_a_line_that_never_comes_is_reported_with_the_output(start_python):
    process = start_python("-c", "print('something else')")

    with pytest.raises(AssertionError, match=r"ended \(0\) before 'ready'(.|\n)*something else"):
        process.wait_for_line("ready")


def test_a_time_out_shows_the_saga_tables():
    with pytest.raises(AssertionError, match=r"the impossible; last answer 0\n-- django_saga"):
        wait_until(lambda: 0, timeout=0, message="the impossible")

    assert "SagaInstance: 0 rows" in saga_tables()


def _is_running(pid: int) -> bool:
    """Whether ``pid`` lives; a zombie that nobody has reaped yet does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
