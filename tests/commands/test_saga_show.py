"""``saga_show``: a saga's story as a tree and as JSON, told of sagas that really ran."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import pytest
from django.core.management import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_saga.exceptions import SagaFailed
from django_saga.models import SagaInstance
from tests.commands.rows import a_definition, a_saga, a_step, a_worker, an_event
from tests.commands.screen import Screen, document, settled, written
from tests.sagas.view_sagas import ViewedSaga

pytestmark = pytest.mark.django_db


def run(**wishes: str) -> SagaInstance:
    """Run a saga to its end in this process."""
    with suppress(SagaFailed):
        ViewedSaga.run({"sku": "A-1", **wishes}, idempotency_key="order-1")
    return SagaInstance.objects.get()


def show(saga: SagaInstance, *arguments: str) -> str:
    return settled(written("saga_show", str(saga.pk), *arguments))


def test_a_completed_saga_shows_every_step_with_its_attempts_and_result():
    saga = run(lost="yes")

    assert (
        show(saga)
        == """\
✔ completed  viewed v1  <id>
  key       order-1
  started   <time> (<span> ago)
  ended     <time> (took <span>)
  input     {"sku": "A-1", "lost": "yes"}

Steps
├─ ✔ reserve  succeeded  (atomic)
│  ├─ attempt 1: succeeded in <span>, <worker>, <time>
│  └─ result {"price": {"$decimal": "12.50"}}
├─ ✔ charge  succeeded
│  ├─ attempt 1: unknown (reported) in <span>, <worker>, <time>
│  │    ConnectionError: reported: no answer
│  ├─ attempt 2: succeeded in <span>, <worker>, <time>
│  └─ result {"charge": "ch_1"}
├─ ✔ invoice  succeeded
│  └─ attempt 1: succeeded in <span>, <worker>, <time>
├─ ✔ ship  succeeded  (queue parcels)
│  └─ attempt 1: succeeded in <span>, <worker>, <time>
└─ ✔ confirm  succeeded  (after invoice, ship)
   ├─ attempt 1: succeeded in <span>, <worker>, <time>
   └─ result {"done": true}
"""
    )


def test_a_compensated_saga_shows_why_it_turned_back_and_what_was_undone():
    saga = run(charge="card declined")

    assert (
        show(saga)
        == """\
↩ compensated  viewed v1  <id>
  why       failed at charge, 1 attempt
            card declined
  key       order-1
  started   <time> (<span> ago)
  ended     <time> (took <span>)
  input     {"sku": "A-1", "charge": "card declined"}

Steps
├─ ↩ reserve  undone  (atomic)
│  ├─ attempt 1: succeeded in <span>, <worker>, <time>
│  ├─ result {"price": {"$decimal": "12.50"}}
│  └─ compensation release
│     └─ attempt 1: succeeded in <span>, <worker>, <time>
├─ ✖ charge  failed
│  ├─ attempt 1: failed in <span>, <worker>, <time>
│  │    django_saga.exceptions.PermanentFailure: card declined
│  └─ given up: permanent failure
├─ · invoice  never began
├─ · ship  never began  (queue parcels)
└─ · confirm  never began  (after invoice, ship)
"""
    )


def test_a_stuck_saga_says_what_a_person_can_do_and_that_helps():
    saga = run(charge="card declined", release="503: maintenance")

    text = written("saga_show", str(saga.pk))

    tree, advice = text.split("What to do\n")
    assert (
        settled(tree).partition("Steps\n")[2].partition("├─ ✖ charge")[0]
        == """\
├─ ✖ reserve  undo failed  (atomic)
│  ├─ attempt 1: succeeded in <span>, <worker>, <time>
│  ├─ result {"price": {"$decimal": "12.50"}}
│  └─ compensation release
│     ├─ attempt 1: failed in <span>, <worker>, <time>
│     │    RuntimeError: 503: maintenance
│     ├─ attempt 2: failed in <span>, <worker>, <time>
│     │    RuntimeError: 503: maintenance
│     └─ given up: attempts spent
"""
    )
    words, code = advice.split("\n    ", 1)
    assert " ".join(words.split()) == (
        "release, which undoes reserve, is dead after 2 attempts (attempts spent): 503: maintenance. "
        "Mend the cause, then have it tried again. "
        "What it would have undone still stands until then. If it was undone by hand, or is to stay, "
        "operations.skip_compensation() says so."
    )

    written(*code.split()[1:])  # the advice itself is tested

    saga.refresh_from_db()
    assert saga.status == "compensating"
    assert "an operator had the compensation tried again of reserve: …" in written("saga_show", str(saga.pk))


def test_a_running_saga_shows_who_has_a_step_and_what_is_to_come():
    saga = a_saga("running", deadline_at=timezone.now() + timedelta(hours=5, seconds=30))
    step = a_step(
        saga, "reserve", "running", attempt=2, claimed_at=timezone.now() - timedelta(minutes=3, seconds=30)
    )
    assert step.owner is not None
    a_worker(step.owner)
    an_event(saga, "step_unknown", "reserve", attempt=1, data={"cause": "worker lost"}, worker=step.owner)

    text = written("saga_show", str(saga.pk)).partition("\nWhat to do")[0]

    assert (
        settled(text.replace(str(step.owner)[:8], "WORKER"))
        == """\
▶ running  order v1  <id>
  started   <time> (<span> ago)
  deadline  <time> (in <span>)
  input     {"sku": "A-1"}

Steps
├─ ▶ reserve  running
│  ├─ attempt 1: unknown (worker lost), worker WORKER (web-1:77), <time>
│  └─ attempt 2: running on worker WORKER (web-1:77) since <span>, lease until <time> (in <span>)
├─ · charge  to come
└─ · ship  to come
"""
    )


def test_a_step_that_waits_for_its_next_attempt_says_when():
    saga = a_saga("running")
    a_step(saga, "reserve", "scheduled", attempt=1, due_at=timezone.now() + timedelta(hours=2, seconds=30))
    an_event(saga, "step_failed", "reserve", attempt=1, error_class="ValueError", error="no\nsuch   thing")

    assert (
        settled(written("saga_show", str(saga.pk))).partition("Steps\n")[2]
        == """\
├─ ○ reserve  scheduled
│  ├─ attempt 1: failed, <time>
│  │    ValueError: no such thing
│  └─ next attempt 2: due <time> (in <span>)
├─ · charge  to come
└─ · ship  to come

What to do
The code of this process has no saga order v1, and workers leave alone what they do not know. Keep the class
in a sagas.py until its last saga has ended.
"""
    )


def test_what_waits_for_a_step_that_was_given_up_is_not_to_come_while_other_branches_go_on():
    fork = (("left", (), ""), ("right", (), ""), ("more", ("right",), ""), ("join", ("left", "more"), ""))
    saga = a_saga("running", definition=a_definition("fork", steps=fork), reason="failed", culprit="left")
    a_step(saga, "left", "failed", attempt=1)
    a_step(saga, "right", "running")

    tree = settled(written("saga_show", str(saga.pk)))

    assert "why       failed at left" in tree
    assert ("more  to come" in tree, "join  never began" in tree) == (True, True)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("scheduled", "reserve has been due for 5 min and no worker has taken it: does a saga_worker run"),
        ("running", "The lease on reserve ran out 5 min ago: its worker is gone"),
    ],
)
def test_a_step_nobody_comes_for_is_explained(status, said):
    saga = a_saga("running")
    a_step(saga, "reserve", status, due_at=timezone.now() - timedelta(minutes=5, milliseconds=200))

    advice = " ".join(document("saga_show", str(saga.pk))["advice"])

    assert said in advice


def test_a_step_that_the_definition_does_not_know_is_shown_all_the_same():
    saga = a_saga("running", definition=a_definition("odd", steps=[]))
    a_step(saga, "forgotten", "succeeded")
    an_event(saga, "step_failed", "gone", attempt=1)

    assert [(step["name"], step["status"]) for step in document("saga_show", str(saga.pk))["steps"]] == [
        ("forgotten", "succeeded"),
        ("gone", None),
    ]


def test_a_saga_is_found_by_the_beginning_of_its_id():
    first = a_saga(id=UUID("01a1fb8d-9c0b-7f7e-a1fe-83c1bbb36aa6"), idempotency_key="one")
    second = a_saga(id=UUID("01a1fb8d-9c0c-7f7e-a1fe-83c1bbb36aa6"))

    def found(text: str) -> str:
        return written("saga_show", text).splitlines()[0].split()[-1]

    assert [
        found(t) for t in ("01a1fb8d-9c0b", "01A1FB8D9C0B", " 01a1fb8d-9c0c-7f7e-a1fe-83c1bbb36aa6 ")
    ] == [
        str(first.pk),
        str(first.pk),
        str(second.pk),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("01a1fb8d", "Several sagas' ids begin with 01a1fb8d; give more of the id:"),
        ("01a1", "01a1 is too short: give at least 8 digits of the id."),
        ("order-1", "'order-1' is not the id of a saga; saga_list shows ids."),
        ("0" * 33, f"{'0' * 33} is longer than an id, which has 32 digits."),
        ("ffffffff", "There is no saga whose id begins with ffffffff in the database 'default'"),
        ("ffffffff-0000-0000-0000-000000000000", "There is no saga ffffffff-0000-0000-0000-000000000000 in"),
        ("\x1b[31m\x07", "'\\\\x1b[31m\\\\x07' is not the id"),
    ],
)
def test_an_id_that_names_no_one_saga_is_refused_with_a_way_on(text, said):
    a_saga(id=UUID("01a1fb8d-9c0b-7f7e-a1fe-83c1bbb36aa6"))
    a_saga(id=UUID("01a1fb8d-9c0c-7f7e-a1fe-83c1bbb36aa6"))

    with pytest.raises(CommandError, match=re.escape(said)):
        written("saga_show", text)


def test_candidates_are_listed_newest_first_up_to_ten():
    ids = [UUID(f"01a1fb8d-9c0b-7f7e-a1fe-{number:012x}") for number in range(12)]
    for key in ids:
        a_saga(id=key)

    with pytest.raises(CommandError) as refused:
        written("saga_show", "01a1fb8d")

    lines = str(refused.value).splitlines()[1:]
    assert [line.split()[0] for line in lines] == [*map(str, ids[:1:-1]), "…"]


def test_the_json_has_the_whole_story():
    saga = run(charge="card declined")

    told = document("saga_show", str(saga.pk))

    assert {key: told[key] for key in ("id", "saga", "version", "status", "reason", "culprit", "input")} == {
        "id": str(saga.pk),
        "saga": "viewed",
        "version": 1,
        "status": "compensated",
        "reason": "failed",
        "culprit": "charge",
        "input": {"sku": "A-1", "charge": "card declined"},
    }
    assert [
        (
            step["name"],
            step["status"],
            step["compensation"],
            [attempt["ended"] for attempt in step["attempts"]],
            [attempt["ended"] for attempt in step["compensation_attempts"]],
        )
        for step in told["steps"]
    ] == [
        ("reserve", "undone", "release", ["succeeded"], ["succeeded"]),
        ("charge", "failed", "refund", ["failed"], []),
        ("invoice", None, "void", [], []),
        ("ship", None, "recall", [], []),
        ("confirm", None, None, [], []),
    ]
    assert "traceback" not in told["steps"][1]["attempts"][0]


def test_tracebacks_are_shown_when_asked_for():
    saga = run(charge="card declined")

    assert "Traceback" not in written("saga_show", str(saga.pk))
    assert "in charge\n│  │        raise PermanentFailure(error)\n" in written(
        "saga_show", str(saga.pk), "--traceback"
    )
    traceback = json.loads(written("saga_show", str(saga.pk), "--traceback", "--json"))["steps"][1][
        "attempts"
    ][0]
    assert traceback["traceback"].startswith("Traceback (most recent call last):")


HOSTILE = "\x1b[2J\x1b]0;owned\x07 \u202etxet\u2069 \x9b31m \r\x08\x7f\u2028\ufeff"


def test_stored_text_cannot_move_the_cursor_or_turn_the_line():
    saga = a_saga(
        "stuck", reason=HOSTILE[:40], culprit="reserve", idempotency_key=HOSTILE, input={HOSTILE: HOSTILE}
    )
    a_step(saga, "reserve", "undo_failed", error=HOSTILE, reason=HOSTILE[:40], result=HOSTILE, attempt=1)
    an_event(
        saga,
        "step_failed",
        "reserve",
        attempt=1,
        error=HOSTILE,
        error_class=HOSTILE,
        traceback=f"{HOSTILE}\n{HOSTILE}",
    )
    an_event(saga, "cancel_requested", error=HOSTILE)

    text = written("saga_show", str(saga.pk), "--traceback") + written("saga_show", str(saga.pk))

    assert {character for character in text if not character.isprintable()} == {"\n"}
    document_text = written("saga_show", str(saga.pk), "--json", "--traceback")
    assert (document_text.isascii(), "\x1b" in document_text, "\x7f" in document_text) == (True, False, False)


def test_a_large_input_and_a_long_error_are_cut_and_say_so():
    saga = a_saga("running", input={"text": "x" * 5_000})
    a_step(saga)
    an_event(saga, "step_failed", "reserve", attempt=1, error="y" * 1_000)

    text = written("saga_show", str(saga.pk))

    assert "    … 3,016 more characters; --json gives them all" in text
    assert f"{'y' * 300}… (700 more characters)" in text
    assert len(text) < 4_000
    assert document("saga_show", str(saga.pk))["input"] == {"text": "x" * 5_000}


def test_of_many_attempts_the_first_and_the_last_are_shown():
    saga = a_saga("running")
    a_step(saga)
    for attempt in range(1, 41):
        an_event(saga, "step_failed", "reserve", attempt=attempt)

    def numbers(text: str) -> list[str]:
        return re.findall(r"─ (attempt \d+|….*)(?::|$)", text, re.MULTILINE)

    assert numbers(written("saga_show", str(saga.pk))) == [
        "attempt 1",
        "attempt 2",
        "… 30 more attempts, shown by --traceback and --json",
        *(f"attempt {number}" for number in range(33, 41)),
        "attempt 1",
    ]
    assert len(numbers(written("saga_show", str(saga.pk), "--traceback"))) == 41


def test_a_terminal_without_unicode_gets_ascii():
    saga = run(charge="card declined")

    text = written("saga_show", str(saga.pk), screen=Screen(encoding="ascii"))

    assert text.isascii()
    assert "|- - reserve  undone  (atomic)" in text


def test_the_number_of_queries_does_not_grow():
    def queries(saga: SagaInstance) -> int:
        with CaptureQueriesContext(connection) as captured:
            written("saga_show", str(saga.pk))
        return len(captured)

    def a_story(steps: int) -> SagaInstance:
        saga = a_saga("running")
        for number in range(steps):
            step = a_step(saga, f"s{number}", "running")
            an_event(saga, "step_failed", step.name, attempt=1, worker=step.owner)
        return saga

    assert (queries(a_story(1)), queries(a_story(30))) == (6, 6)
