"""A TCP proxy before PostgreSQL that loses the reply of one commit (sent, done, and the client cut off), or
everything, as a network does that goes down. For the latter it stands before brokers, too.
"""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

# PostgreSQL's protocol, chapter 55.7 of its manual: a simple query, and "ready, in no transaction".
COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
READY = b"Z\x00\x00\x00\x05I"


class Proxy:
    """Listens on ``port`` of the loopback; what it forwards must not be encrypted."""

    def __init__(self, host: str, port: str | int) -> None:
        self._upstream = (host or "127.0.0.1", int(port or 5432))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.lost = 0  # replies swallowed
        self._statement: bytes | None = None
        self._commit = COMMIT
        self._lock = threading.Lock()
        self._flows = threading.Event()
        self._flows.set()
        self._cut = False
        self._carried: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def lose_commit_after(self, statement: str) -> None:
        """Lose the reply of the next COMMIT of a session that has sent ``statement`` (a part of it)."""
        self._statement, self._commit = statement.encode(), COMMIT

    def lose_reply_to(self, statement: str) -> None:
        """Lose the reply of ``statement`` (a part of it), which is a transaction of its own."""
        self._statement = self._commit = statement.encode()

    def hold(self) -> None:
        """Let nothing through, and tell nobody, until ``restore``."""
        self._flows.clear()

    def cut(self) -> None:
        """End every session, and take no other, until ``restore``."""
        self._cut = True
        for each in self._carried:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def restore(self) -> None:
        """Carry on."""
        self._cut = False
        self._flows.set()

    def reply(self, data: bytes) -> bytes:
        """Give what the client is told instead of ``data``: the same, here."""
        return data

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self._cut:
                client.close()
                continue
            self._carried.append(client)
            threading.Thread(target=self._carry, args=(client,), name="proxied", daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, self._connect() as server, selectors.DefaultSelector() as ready, suppress(OSError):
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            marked = False
            while True:
                for key, _ in ready.select():
                    source, target = key.fileobj, key.data
                    assert isinstance(source, socket.socket)
                    data = source.recv(65536)
                    if source is server:
                        data = self.reply(data)
                    self._flows.wait()
                    target.sendall(data)
                    if not data:
                        return
                    if source is client:
                        marked = marked or (self._statement is not None and self._statement in data)
                        if marked and self._commit in data and self._is_to_be_lost():
                            self._swallow_reply(server)
                            return

    def _connect(self) -> socket.socket:
        host, port = self._upstream
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server

    def _is_to_be_lost(self) -> bool:
        with self._lock:
            once, self._statement = self._statement is not None, None
        return once

    def _swallow_reply(self, server: socket.socket) -> None:
        reply = b""
        while not reply.endswith(READY):
            reply += server.recv(65536)
        self.lost += 1
