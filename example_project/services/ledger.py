"""What a fake service remembers, in an SQLite file of its own: calls, answers by idempotency key, effects."""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    action TEXT NOT NULL, reference TEXT NOT NULL, key TEXT NOT NULL, fault TEXT NOT NULL DEFAULT 'none'
);
CREATE INDEX IF NOT EXISTS calls_by_reference ON calls (action, reference);
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL
);
-- No unique constraint on purpose: a doubled effect has to show, not to be kept out by the schema.
CREATE TABLE IF NOT EXISTS effects (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    action TEXT NOT NULL, reference TEXT NOT NULL, key TEXT NOT NULL, amount TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS effects_by_reference ON effects (reference);
CREATE TABLE IF NOT EXISTS closed (reference TEXT PRIMARY KEY);
"""

# The fingerprint of a key that is refused whatever is asked under it.
_ANYTHING = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One call: what is asked (``action``), about what (``reference``), under which idempotency key."""

    action: str
    reference: str
    key: str
    body: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        asked = json.dumps([self.action, self.body], sort_keys=True)
        return hashlib.sha256(asked.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and the JSON object that goes with it."""

    status: int
    body: dict[str, Any]


class Book:
    """The pages of the ledger that the work of one call may read and write, inside its transaction."""

    def __init__(self, connection: sqlite3.Connection, request: Request) -> None:
        self._connection = connection
        self._request = request

    def record(self, amount: str) -> int:
        """Write the effect of this call; return its number."""
        asked = self._request
        row = self._connection.execute(
            "INSERT INTO effects (action, reference, key, amount) VALUES (?, ?, ?, ?)",
            (asked.action, asked.reference, asked.key, amount),
        )
        return int(row.lastrowid or 0)

    def effects(self, action: str) -> list[dict[str, Any]]:
        """Return the effects of ``action`` for the reference of this call, oldest first."""
        rows = self._connection.execute(
            "SELECT id, key, amount FROM effects WHERE action = ? AND reference = ? ORDER BY id",
            (action, self._request.reference),
        )
        return [dict(row) for row in rows]

    def close(self) -> None:
        """Refuse every later effect for the reference: what was undone must not happen after all."""
        self._connection.execute("INSERT OR IGNORE INTO closed VALUES (?)", (self._request.reference,))

    def is_closed(self) -> bool:
        found = self._connection.execute(
            "SELECT 1 FROM closed WHERE reference = ?", (self._request.reference,)
        )
        return found.fetchone() is not None

    def answer_to(self, key: str) -> Answer | None:
        """Return what the call with ``key`` was answered, None if there was none."""
        row = self._connection.execute("SELECT status, body FROM answers WHERE key = ?", (key,)).fetchone()
        return None if row is None else Answer(row["status"], json.loads(row["body"]))

    def refuse(self, key: str, answer: Answer) -> None:
        """Give ``answer`` to whatever is called with ``key`` from now on."""
        self._connection.execute(
            "INSERT INTO answers VALUES (?, ?, ?, ?)",
            (key, _ANYTHING, answer.status, json.dumps(answer.body)),
        )


class Ledger:
    """One SQLite file, shared by the threads of one server; a lock lets one of them write at a time."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def note_call(self, request: Request) -> tuple[int, int]:
        """Write the call down; return its id and how many calls like it (action, reference) there are now."""
        with self._transaction() as connection:
            row = connection.execute(
                "INSERT INTO calls (action, reference, key) VALUES (?, ?, ?)",
                (request.action, request.reference, request.key),
            )
            count = connection.execute(
                "SELECT count(*) FROM calls WHERE action = ? AND reference = ?",
                (request.action, request.reference),
            ).fetchone()[0]
            return int(row.lastrowid or 0), int(count)

    def note_fault(self, call: int, fault: str) -> None:
        with self._transaction() as connection:
            connection.execute("UPDATE calls SET fault = ? WHERE id = ?", (fault, call))

    def answer_once(self, request: Request, work: Callable[[Book], Answer]) -> Answer:
        """Return what ``request.key`` was answered before, else do the work.

        Effect and answer are committed together: a key has its effect at most once.
        """
        with self._transaction() as connection:
            known = connection.execute(
                "SELECT fingerprint, status, body FROM answers WHERE key = ?", (request.key,)
            ).fetchone()
            if known is None:
                answer = work(Book(connection, request))
                connection.execute(
                    "INSERT INTO answers VALUES (?, ?, ?, ?)",
                    (request.key, request.fingerprint, answer.status, json.dumps(answer.body)),
                )
                return answer
            if known["fingerprint"] not in {_ANYTHING, request.fingerprint}:
                return Answer(422, {"error": "This idempotency key was used for another request."})
            return Answer(known["status"], json.loads(known["body"]))

    def report(self) -> dict[str, Any]:
        """Return every effect, and how many calls and faults there were."""
        with self._transaction() as connection:
            effects = connection.execute("SELECT id, action, reference, key, amount FROM effects ORDER BY id")
            calls = connection.execute("SELECT count(*) FROM calls").fetchone()[0]
            faults = connection.execute(
                "SELECT fault, count(*) FROM calls WHERE fault != 'none' GROUP BY fault ORDER BY fault"
            )
            return {
                "calls": calls,
                "faults": dict(faults),
                "effects": [dict(row) for row in effects],
            }

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
