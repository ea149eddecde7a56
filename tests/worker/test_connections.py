"""Connections of long-lived threads are mended."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_saga.engine import connections as mending

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres, pytest.mark.mariadb]


def test_a_connection_that_broke_while_it_was_opened_is_opened_anew(monkeypatch):
    wrapper = type(connections["default"])
    real = wrapper.init_connection_state
    broken: list[BaseDatabaseWrapper] = []

    def breaks_once(self: Any) -> None:
        if not broken:
            broken.append(self)
            self.connection.close()  # the server went away just now
        real(self)

    def in_a_thread_of_its_own() -> int:
        with pytest.raises(OperationalError):
            _ask()
        mending.refresh("default", after_error=True)
        try:
            return _ask()
        finally:
            connections["default"].close()

    monkeypatch.setattr(wrapper, "init_connection_state", breaks_once)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(in_a_thread_of_its_own).result() == 1


def _ask() -> int:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT 1")
        return int(cursor.fetchone()[0])
