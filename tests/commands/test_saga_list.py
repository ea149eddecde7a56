"""``saga_list``: the table, its filters, its JSON, and what it costs."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core.management import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_saga.core.plain import columns
from tests.commands.rows import a_definition, a_saga, a_step
from tests.commands.screen import Screen, cells, document, written

pytestmark = pytest.mark.django_db


def listed(*arguments: str) -> list[str]:
    """The ids that the command lists, in its order."""
    return [saga["id"] for saga in document("saga_list", *arguments)["sagas"]]


def at(saga) -> str:
    return timezone.localtime(saga.created_at).strftime("%Y-%m-%d %H:%M:%S")


def test_the_newest_saga_comes_first_with_all_that_tells_it_from_others():
    running = a_saga("running", idempotency_key="order-1")
    a_step(running, "charge", "running", attempt=2)
    stuck = a_saga("stuck", reason="failed", culprit="ship")
    a_step(stuck, "reserve", "undo_failed", attempt=5)
    done = a_saga("completed", took=timedelta(milliseconds=95), definition=a_definition("import", 2))

    head, *lines = written("saga_list").splitlines()

    zone = timezone.localtime().tzname()
    assert cells(head) == ["ID", "SAGA", "STATUS", "WHERE", "STARTED", f"AT ({zone})", "KEY"]
    ago = "3 h 10 min ago"
    assert [cells(line) for line in lines] == [
        [str(done.pk), "import v2", "✔ completed", "took 95 ms", ago, at(done)],
        [str(stuck.pk), "order v1", "✖ stuck", "undo of reserve is dead, 5 attempts", ago, at(stuck)],
        [str(running.pk), "order v1", "▶ running", "charge, attempt 2", ago, at(running), "order-1"],
    ]


@pytest.mark.parametrize(
    ("status", "steps", "facts", "where"),
    [
        (
            "pending",
            [("reserve", "scheduled", {"in": timedelta(hours=2, seconds=20)})],
            {},
            "reserve, attempt 1 in 2 h",
        ),
        ("running", [("reserve", "scheduled", {})], {}, "reserve, due"),
        (
            "running",
            [("reserve", "scheduled", {"in": timedelta(hours=-2, seconds=-20)})],
            {},
            "reserve, due for 2 h",
        ),
        ("running", [("a", "running", {}), ("b", "scheduled", {})], {}, "a, attempt 1; b, due"),
        (
            "running",
            [("a", "succeeded", {}), *((name, "running", {}) for name in "bcde")],
            {},
            "b, attempt 1; c, attempt 1; +2",
        ),
        ("compensating", [("a", "undoing", {"attempt": 3})], {"reason": "failed"}, "undo of a, attempt 3"),
        ("compensated", [], {"reason": "cancelled"}, "cancelled"),
        (
            "compensated",
            [("a", "failed", {"attempt": 3})],
            {"reason": "failed", "culprit": "a"},
            "failed at a, 3 attempts",
        ),
        ("superseded", [], {}, ""),
    ],
)
def test_it_says_where_a_saga_stands(status, steps, facts, where):
    saga = a_saga(status, **facts)
    for name, step_status, values in steps:
        if "in" in values:
            values = {"due_at": timezone.now() + values["in"]}
        a_step(saga, name, step_status, **values)

    assert [told["where"] for told in document("saga_list")["sagas"]] == [where]


def test_filters_narrow_the_list_and_add_up():
    old = a_saga("stuck", ago=timedelta(days=3))
    new = a_saga("stuck")
    other = a_saga("stuck", definition=a_definition("import"))
    failed = a_saga("compensated")
    a_saga("completed")

    found = {
        "stuck": listed("--stuck"),
        "two statuses": listed("--status", "stuck", "--status", "compensated"),
        "name": listed("--name", "import"),
        "since": listed("--since", "1d", "--stuck"),
        "since all": listed("--since", "99999w", "--stuck"),
        "together": listed("--since", "4h", "--stuck", "--name", "order"),
        "limit": listed("--limit", "1", "--stuck"),
    }

    assert found == {
        "stuck": [str(saga.pk) for saga in (other, new, old)],
        "two statuses": [str(saga.pk) for saga in (failed, other, new, old)],
        "name": [str(other.pk)],
        "since": [str(other.pk), str(new.pk)],
        "since all": [str(saga.pk) for saga in (other, new, old)],
        "together": [str(new.pk)],
        "limit": [str(other.pk)],
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--status", "stuk"], "invalid choice: 'stuk'"),
        (["--since", "soon"], "'soon' is no length of time; write 90s, 30m, 2h, 1d12h or 1w"),
        (["--limit", "0"], "0 is not between 1 and 10000"),
        (["--database", "nowhere"], "invalid choice: 'nowhere'"),
    ],
)
def test_wrong_arguments_are_refused_with_what_would_be_right(arguments, said):
    with pytest.raises(CommandError, match=re.escape(said)):
        written("saga_list", *arguments)


def test_an_empty_list_says_why_it_is_empty():
    nothing_yet = written("saga_list", "--stuck")
    a_saga("running")
    said = {
        "stuck": written("saga_list", "--stuck"),
        "both": written("saga_list", "--stuck", "--since", "2h"),
        "name": written("saga_list", "--name", "oder"),
    }

    assert nothing_yet.startswith("There are no sagas yet.")
    assert said == {
        "stuck": "No saga is of status stuck.\n",
        "both": "No saga is of status stuck, begun within 2 h.\n",
        "name": "No saga named 'oder' was ever started here. Did you mean 'order'?\n",
    }


def test_it_says_when_there_are_more_than_it_shows():
    for _ in range(3):
        a_saga()

    assert written("saga_list", "--limit", "2").splitlines()[-1] == (
        "The 2 newest are shown; --limit 8 shows more."
    )
    assert document("saga_list", "--limit", "2")["more"] is True
    assert document("saga_list", "--limit", "3")["more"] is False


def test_the_json_is_one_document_with_every_fact():
    saga = a_saga("stuck", reason="failed", culprit="charge", idempotency_key="k", took=timedelta(seconds=5))
    a_step(saga, "reserve", "undo_failed", attempt=3)

    assert document("saga_list") == {
        "sagas": [
            {
                "id": str(saga.pk),
                "saga": "order",
                "version": 1,
                "status": "stuck",
                "where": "undo of reserve is dead, 3 attempts",
                "reason": "failed",
                "culprit": "charge",
                "idempotency_key": "k",
                "started_at": saga.created_at.isoformat(),
                "finished_at": (saga.created_at + timedelta(seconds=5)).isoformat(),
                "steps": [{"name": "reserve", "status": "undo_failed", "attempt": 3, "due_at": None}],
            }
        ],
        "more": False,
    }


@pytest.mark.parametrize("width", [52, 60, 80, 100, 120, 160, 200])
def test_the_table_fits_the_terminal(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    saga = a_saga("running", idempotency_key="日本語のとても長い鍵" * 5)
    a_step(saga, "a_step_with_quite_a_long_name", "running")
    a_saga("completed", took=timedelta(seconds=1), idempotency_key="k" * 150)

    text = written("saga_list", screen=Screen(is_terminal=True), no_color=True)

    table = [line for line in text.splitlines() if not line.startswith("No room here for")]
    assert [line for line in table if columns(line) > width] == []
    assert str(saga.pk) in text


def test_columns_without_room_are_named(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    a_saga("running", idempotency_key="k" * 150)

    text = written("saga_list", screen=Screen(is_terminal=True), no_color=True)

    zone = timezone.localtime().tzname()
    assert text.splitlines()[-1] == (f"No room here for AT ({zone}), KEY: widen the terminal, or use --json.")


def test_colour_is_for_terminals_only(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("DJANGO_COLORS", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    a_saga("stuck")

    def coloured(screen: Screen, **options: bool) -> bool:
        return "\x1b[" in written("saga_list", screen=screen, **options)

    assert {
        "file": coloured(Screen()),
        "file, asked for": coloured(Screen(), force_color=True),
        "terminal, refused": coloured(Screen(is_terminal=True), no_color=True),
    } == {"file": False, "file, asked for": True, "terminal, refused": False}
    monkeypatch.setenv("NO_COLOR", "1")
    assert not coloured(Screen(is_terminal=True))


def test_stored_text_cannot_move_the_cursor_or_turn_the_line():
    saga = a_saga(
        "compensated", reason="\x1b[2J", culprit="a\rb\x9b", idempotency_key="\x1b]0;x\x07\u202eyek"
    )
    a_step(saga, "c\u2066d", "running")

    text = written("saga_list")

    assert [character for character in text if not character.isprintable() and character != "\n"] == []
    assert "\\x1b]0;x\\x07\\u202eyek" in text
    assert written("saga_list", "--json").isascii()


def test_a_terminal_without_unicode_gets_ascii():
    a_saga("stuck", idempotency_key="schlüssel")

    text = written("saga_list", screen=Screen(encoding="ascii"))

    assert text.isascii()
    assert "! stuck" in text
    assert "schl\\xfcssel" in text


def test_the_number_of_queries_does_not_grow_and_none_counts():
    def queries() -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            written("saga_list", "--limit", "50")
        return [query["sql"] for query in captured]

    a_step(a_saga("running"), "reserve", "running")
    few = queries()
    for _ in range(40):
        a_step(a_saga("running"), "reserve", "running")
    many = queries()

    assert len(many) == len(few) == 3  # the time, the sagas with their definitions, the steps
    assert [sql for sql in many if "COUNT(" in sql.upper()] == []


@pytest.mark.parametrize("arguments", [[], ["--since", "2h"]], ids=["newest", "since"])
def test_the_newest_are_read_from_the_end_of_the_key_without_sorting(arguments):
    a_saga(ago=timedelta(minutes=5))
    ran = []

    def note(execute, sql, params, many, context):
        if "django_saga_sagainstance" in sql:
            ran.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        written("saga_list", *arguments)

    [(sql, params)] = ran
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Small tables: without what a planner prefers for these, it shows what it can do. It still sorts
            # where there is no other way.
            for way in ("seqscan", "bitmapscan", "sort"):
                cursor.execute(f"SET LOCAL enable_{way} = off")
        how = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
        cursor.execute(how + sql, params)
        plan = str(cursor.fetchall())
    assert ("TEMP B-TREE" in plan, "Sort" in plan, "filesort" in plan) == (False, False, False), plan
