"""``saga_migrate``: asks, tells what became of them, and exits so that a script knows whether any is left."""

from __future__ import annotations

import builtins
import io
import json
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import DatabaseError

from django_saga import Saga, operations, step
from django_saga.dsl.registry import registry
from django_saga.management import acting
from django_saga.models import SagaInstance, SagaOperation, SagaStep
from tests.commands.screen import Screen, settled, written

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def parcel():
    """Version 1 of a saga, three of which are in flight; one was tried."""
    with registry.isolated():

        class ParcelV1(Saga):
            name = "parcel"

            @step(no_compensation=True)
            def pack(self, ctx): ...

        class ParcelV2(Saga):
            name = "parcel"
            version = 2

            @step(no_compensation=True)
            def wrap(self, ctx): ...

        handles = ParcelV1.bulk_start([{}] * 3)
        SagaStep.objects.filter(saga_id=handles[2].id).update(attempt=1)
        yield handles


def migrated(*arguments: str) -> tuple[int, str]:
    """Give the exit code and what was said."""
    screen = Screen()
    given = ("parcel", "--from", "1", "--to", "2", "--map", "pack=wrap", *arguments)
    try:
        written("saga_migrate", *given, screen=screen)
    except SystemExit as end:
        return int(str(end.code)), screen.getvalue()
    return 0, screen.getvalue()


def versions() -> list[int]:
    return list(SagaInstance.objects.order_by("pk").values_list("definition__version", flat=True))


def answering(monkeypatch: pytest.MonkeyPatch, answer: str | None) -> list[str]:
    """Have a person answer; None: there is none."""
    asked: list[str] = []

    def answers(question: str) -> str:
        asked.append(question)
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr(builtins, "input", answers)
    return asked


def test_a_dry_run_tells_fate_by_fate_and_moves_nothing(parcel):
    code, said = migrated("--dry-run")

    assert (code, versions()) == (1, [1, 1, 1])
    assert settled(said).splitlines() == [
        "parcel v1 → v2: a dry run, nothing was changed",
        "✔ 2 would go: running",
        "    <id>, <id>",
        "✖ 1 refused: step pack was tried: as wrap it would go on with another idempotency key",
        "    <id>",
    ]


def test_the_story_of_a_saga_tells_that_it_was_moved(parcel):
    migrated("--yes", "--why", "wrapping paper")

    shown = settled(written("saga_show", str(parcel[0].id))).splitlines()

    assert shown[0] == "▶ running  parcel v2  <id>"
    assert shown[-1] == "  <time>  went on by another version: v1 → v2, pack → wrap: wrapping paper"


def test_those_that_can_are_moved_and_the_exit_code_tells_that_one_is_left(parcel):
    code, said = migrated("--yes", "--by", "ada", "--why", "wrapping paper")

    assert (code, versions()) == (1, [2, 2, 1])
    assert settled(said).splitlines()[:2] == ["parcel v1 → v2", "✔ 2 moved: running"]
    assert set(SagaOperation.objects.values_list("actor", "why")) == {("ada", "wrapping paper")}


def test_json_has_all_of_it(parcel):
    code, said = migrated("--yes", "--json")

    found = json.loads(said)
    assert (code, found["looked_at"], found["migrated"], found["left"]) == (1, 3, 2, 1)
    assert [(each["outcome"], each["number"]) for each in found["fates"]] == [
        ("migrated", 2),
        ("refused", 1),
    ]
    assert found["fates"][1]["examples"] == [str(parcel[2].id)]


def test_with_nothing_left_the_exit_code_is_0(parcel):
    SagaStep.objects.update(attempt=0)

    assert migrated("--yes")[0] == 0
    assert migrated("--yes") == (0, "No saga of parcel v1 → v2 is in flight.\n")


@pytest.mark.parametrize("answer", ["y", " Yes "])
def test_it_asks_a_person_and_does_as_told(parcel, monkeypatch, answer):
    asked = answering(monkeypatch, answer)

    migrated()

    assert asked == ["Move all sagas in flight of parcel from v1 to v2 (--dry-run only tells)? [y/N] "]
    assert versions() == [2, 2, 1]


@pytest.mark.parametrize(
    ("answer", "said"), [("", "Nothing was changed"), ("n", "Nothing was changed"), (None, "Nobody answered")]
)
def test_without_a_yes_nothing_is_changed(parcel, monkeypatch, answer, said):
    answering(monkeypatch, answer)

    with pytest.raises(CommandError, match=said):
        migrated()
    assert versions() == [1, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--map", "pack"], "'pack' is not OLD=NEW"),
        (["--map", "park=wrap"], r"parcel v1 has no step 'park'\. Did you mean 'pack'\?"),
        (["--to", "7"], "not known here in version 7"),
        (["--from", "7"], "has never seen saga 'parcel' in version 7"),
    ],
)
def test_what_is_asked_for_wrongly_is_said(parcel, arguments, said):
    with pytest.raises(CommandError, match=said):
        migrated("--yes", *arguments)


def test_a_database_that_gives_up_is_said_with_what_to_do(parcel, monkeypatch):
    def broken(*arguments: Any, **options: Any) -> Any:
        raise DatabaseError("server closed the connection")

    monkeypatch.setattr(operations.migrations, "_moved", broken)

    with pytest.raises(CommandError, match=r"server closed the connection .* run it again"):
        migrated("--yes")


def test_a_long_run_says_now_and_then_how_far_it_has_come(parcel, monkeypatch):
    monkeypatch.setattr(acting, "_TELL", 0.0)
    stderr = io.StringIO()

    given = ("parcel", "--from", "1", "--to", "2", "--map", "pack=wrap", "--yes")
    with pytest.raises(SystemExit):
        written("saga_migrate", *given, stderr=stderr)

    assert stderr.getvalue() == "3 looked at, 2 moved, 1 left …\n"


def test_it_goes_on_where_a_run_that_died_had_come_to(parcel, monkeypatch):
    SagaStep.objects.update(attempt=0)
    moved = operations.migrations._moved
    done: list[Any] = []

    def dies_at_the_second(*arguments: Any, **options: Any) -> Any:
        if done:
            raise KeyboardInterrupt
        done.append(moved(*arguments, **options))
        return done[0]

    monkeypatch.setattr(operations.migrations, "_moved", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        migrated("--yes")
    assert sorted(versions()) == [1, 1, 2]
    monkeypatch.undo()

    assert migrated("--yes")[0] == 0
    assert versions() == [2, 2, 2]
    assert SagaOperation.objects.count() == 3
