"""How commands end whose database lacks the tables, or whose reader has seen enough."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.core.management import CommandError
from django.db import connection

from django_saga.dsl.registry import registry
from tests import databases
from tests.commands.screen import written
from tests.processes import ROOT, environment
from tests.sagas.view_sagas import ViewedSaga

NOBODY = "No saga is named 'nobody'. Known are viewed. "

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _only_viewed():
    with registry.isolated(ViewedSaga.program):
        yield


@pytest.fixture
def empty(tmp_path) -> Iterator[str]:
    """The name of a database without any table, to which the test is connected."""
    own, name = connection.settings_dict["NAME"], f"test_saga_empty_{os.getpid()}"
    on_server = databases.kind() != "sqlite"
    if on_server:
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
    else:
        name = str(tmp_path / "empty.sqlite3")
    _connect_to(name)
    yield name
    _connect_to(own)
    if on_server:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name}")


def _connect_to(name: str) -> None:
    connection.close()
    connection.settings_dict["NAME"] = name


@pytest.mark.parametrize(
    ("command", "before"),
    [
        (["saga_list"], ""),
        (["saga_show", "0123456789"], ""),
        (["saga_check"], ""),
        (["saga_migrate", "order", "--from", "1", "--to", "2", "--yes"], ""),
        (["saga_graph", "nobody"], NOBODY),
        (["saga_simulate", "nobody"], NOBODY),
        (["saga_worker"], ""),
        (["saga_worker", "--once"], ""),
    ],
)
def test_a_database_without_tables_is_named_and_so_is_the_remedy(empty, command, before):
    with pytest.raises(CommandError) as raised:
        written(*command)

    assert str(raised.value) == (
        f"{before}The database 'default' ({empty}) lacks tables of django-saga, from 0001_initial on. "
        "Run: manage.py migrate"
    )


def test_a_reader_that_has_seen_enough_ends_the_command_without_a_word():
    read, write = os.pipe()
    os.close(read)

    ended = subprocess.run(
        [sys.executable, "-m", "django", "saga_list"],
        cwd=ROOT,
        env={**os.environ, **environment()},
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)

    assert (ended.stderr, ended.returncode) == (b"", 128 + 13)
