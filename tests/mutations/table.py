"""The mutations: what each breaks, where, and the test that has to notice.

An edit is a file, text that has to be in it exactly once, and what takes its place: when the code changes, so
do the edits.
"""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

_SWEEP = "tests/sweep/test_sweep.py::test_a_saga_survives_the_death_of_its_process_at_every_statement"
_RACES = "tests/interleaving"
_LOCKS = "tests/locks"

MUTATIONS = (
    Mutation(
        "M1",
        "the token is no part of the fence",
        (
            Edit(
                "django_saga/engine/journal.py",
                "found.token != row.token or found.status not in OWNED_STEP",
                "found.status not in OWNED_STEP",
            ),
        ),
        f"{_RACES}/test_takeovers.py::test_a_late_worker_records_nothing_while_its_successor_is_still_at_it",
    ),
    Mutation(
        "M2",
        "an atomic step's fence comes after its effect",
        (
            Edit(
                "django_saga/engine/atomic.py",
                "            task.waits_for = fence.hold(using, task.row.id, task.row.token, task.timeout)\n",
                "",
            ),
            Edit(
                "django_saga/engine/atomic.py",
                "            outcome = _user_code(using, task)\n",
                "            outcome = _user_code(using, task)\n"
                "            fence.hold(using, task.row.id, task.row.token, task.timeout)\n",
            ),
        ),
        f"{_RACES}/test_ownership.py::test_a_worker_that_lost_its_lease_does_not_begin_an_atomic_step",
    ),
    Mutation(
        "M3",
        "no lock of the saga's row at joins",
        (
            Edit(
                "django_saga/store/sagas.py",
                'f" WHERE {these} ORDER BY id {sql.locking(connection, skip_locked=skip_locked)}"',
                'f" WHERE {these} ORDER BY id"',
            ),
        ),
        f"{_RACES}/test_joins.py"
        "::test_two_branches_that_succeed_together_open_their_join_once_in_every_order",
    ),
    Mutation(
        "M4",
        "the next step is inserted after the commit",
        (
            Edit(
                "django_saga/engine/journal.py",
                "    writes = [*sagas.steps_written(using, rows), ",
                "    opened = [row for row in rows if row.created_at == now]\n"
                "    transaction.on_commit(lambda: sagas.write_steps(using, opened), using=using)\n"
                "    rows = [row for row in rows if row.created_at != now]\n"
                "    writes = [*sagas.steps_written(using, rows), ",
            ),
        ),
        f"{_SWEEP}[kill before-linear done-by_caller]",
    ),
    Mutation(
        "M11",
        "leases are measured by the worker's own clock",
        (
            Edit(
                "django_saga/store/clock.py",
                "    return datetime.fromtimestamp(epoch, UTC) + _ahead",
                "    return datetime.now(UTC) + _ahead",
            ),
        ),
        f"{_RACES}/test_ownership.py"
        "::test_leases_are_measured_by_the_databases_clock_whatever_the_workers_clock_says",
    ),
    Mutation(
        "M12",
        "an attempt is counted when it ends",
        (
            Edit("django_saga/store/claims.py", " attempt = {step}.attempt + 1, token", " token"),
            Edit("django_saga/store/rows.py", "        self.attempt += 1\n", ""),
        ),
        f"{_RACES}/test_ownership.py::test_an_attempt_is_counted_before_it_begins",
    ),
    Mutation(
        "M13",
        "a step in doubt is not compensated",
        (
            Edit(
                "django_saga/core/compensation.py",
                " or step.status is StepStatus.UNKNOWN:",
                ":",
            ),
        ),
        f"{_SWEEP}[kill after-outcome unknown-by_caller]",
    ),
    Mutation(
        "M15",
        "broken connections are kept",
        (
            Edit(
                "django_saga/engine/connections.py",
                "    for connection in _open() if after_error else _mine():\n",
                "    for connection in ():\n",
            ),
            Edit(
                "django_saga/engine/connections.py",
                "    now = time.monotonic()\n    for connection in _mine():\n",
                "    now = time.monotonic()\n    for connection in ():\n",
            ),
        ),
        f"{_RACES}/test_ownership.py"
        "::test_a_thread_whose_session_the_server_ended_gets_another_before_the_next_attempt",
    ),
    Mutation(
        "M16",
        "an idempotency key is looked up, then inserted",
        (
            Edit(
                "django_saga/store/starts.py",
                "    if sql.together(using, _written(using, [saga], now, ignore=True)):\n",
                "    key = {'name': saga.name, 'idempotency_key': saga.idempotency_key}\n"
                "    taken = SagaInstance.objects.using(using).filter(**key)\n"
                "    if not taken.exists():\n"
                "        write(using, [saga], now)\n",
            ),
        ),
        f"{_RACES}/test_words_from_outside.py::test_two_starts_with_one_key_give_one_saga_in_every_order",
    ),
    Mutation(
        "M20",
        "steps are claimed whatever their saga and its version",
        (
            Edit(
                "django_saga/store/claims.py",
                '    known, params = sql.is_in(connection, "definition_id", definitions)\n    chosen = ',
                '    known, params = "1 = 1", []\n    chosen = ',
            ),
        ),
        f"{_RACES}/test_ownership.py::test_a_worker_leaves_alone_what_its_code_does_not_know",
    ),
    Mutation(
        "M21",
        "a target may have several holders",
        (
            Edit(
                "django_saga/migrations/0003_saga_lock.py",
                'fields=("target", "held"), name',
                'fields=("target", "held", "id"), name',
            ),
            Edit(
                "django_saga/models/lock.py",
                'fields=["target", "held"], name',
                'fields=["target", "held", "id"], name',
            ),
        ),
        f"{_LOCKS}/test_racing.py"
        "::test_of_twenty_who_start_at_once_one_holds_the_lock_and_all_others_are_refused",
    ),
    Mutation(
        "M22",
        "locks outlive their saga",
        (
            Edit(
                "django_saga/engine/journal.py",
                "        recorded.freed = locks.release(using, unlocked) > 0\n",
                "",
            ),
        ),
        "tests/sweep/test_locks.py"
        "::test_a_saga_holds_its_locks_to_its_end_whatever_strikes_it[kill before-undone]",
    ),
    Mutation(
        "M23",
        "locks are released after the commit",
        (
            Edit(
                "django_saga/engine/journal.py",
                "        recorded.freed = locks.release(using, unlocked) > 0\n",
                "        transaction.on_commit(lambda: locks.release(using, unlocked), using=using)\n",
            ),
        ),
        "tests/sweep/test_locks.py"
        "::test_a_saga_holds_its_locks_to_its_end_whatever_strikes_it[kill before-done]",
    ),
    Mutation(
        "M24",
        "those who wait for a lock stand in line by the numbers of their rows",
        (
            Edit(
                "django_saga/store/locks.py",
                "THEN 1 ELSE 0 END, since, saga_id",
                "THEN 1 ELSE 0 END, id",
            ),
        ),
        f"{_LOCKS}/test_waiting.py::test_whoever_asked_first_of_all_goes_first_whatever_the_order_of_rows",
    ),
    Mutation(
        "M25",
        "locks are taken in any order",
        (
            Edit(
                "django_saga/store/locks.py",
                "for target, saga_id in sorted(wishes)]",
                "for target, saga_id in wishes]",
            ),
        ),
        f"{_LOCKS}/test_refusing.py::test_locks_are_written_in_the_order_of_their_targets",
    ),
    Mutation(
        "M26",
        "what a worker remembers of other steps is taken for what they are",
        (
            Edit(
                "django_saga/engine/work.py",
                "        else:\n            self.known = None\n",
                "        else:\n            self.checked = True\n",
            ),
        ),
        "tests/database/test_remembered_steps.py"
        "::test_a_dead_compensation_that_was_retried_meanwhile_is_not_taken_for_dead",
    ),
    Mutation(
        "M27",
        "past its pivot a saga can be cancelled",
        (
            Edit(
                "django_saga/core/forward.py",
                "    _require_way_back(definition, state, event)\n"
                '    return turn_back(definition, state, event, now, None, "cancelled", "")',
                '    return turn_back(definition, state, event, now, None, "cancelled", "")',
            ),
        ),
        "tests/testing/test_past_the_pivot.py"
        "::test_a_saga_past_its_pivot_cannot_be_cancelled_and_has_no_deadline_any_more",
    ),
    Mutation(
        "M30",
        "a saga goes on by another version while a worker has a step of it",
        (Edit("django_saga/engine/migration.py", "        if flying:\n", "        if False:\n"),),
        f"{_RACES}/test_migrations.py::test_a_step_that_is_claimed_meanwhile_is_run_by_one_version_only",
    ),
    Mutation(
        "M31",
        "a word from outside is decided by the version that its sender knew",
        (
            Edit(
                "django_saga/engine/journal.py",
                "        work.definition = versions.current(using, saga_id, held_id, definition)\n",
                "",
            ),
        ),
        f"{_RACES}/test_migrations.py::test_a_cancellation_and_a_migration_are_both_done_one_after_the_other",
    ),
    Mutation(
        "M36",
        "what was paused before its worker heard that it had claimed it begins",
        (Edit("django_saga/engine/worker.py", "self.admission.still(rows)", "rows"),),
        "tests/operations/test_pauses.py"
        "::test_what_is_paused_before_the_worker_hears_that_it_claimed_it_does_not_begin",
    ),
    Mutation(
        "M70",
        "a step learns of its lost lease only from the database",
        (
            Edit(
                "django_saga/engine/context.py",
                "self._task.lost or self._task.abandoned or self._task.lapsed",
                "self._task.lost or self._task.abandoned",
            ),
        ),
        "tests/worker/test_leases.py"
        "::test_a_step_whose_worker_cannot_reach_the_database_is_told_and_taken_over[hold]",
    ),
    Mutation(
        "M71",
        "a compensation is skipped whatever has become of it",
        (
            Edit(
                "django_saga/core/back.py",
                "    if step is None or step.status is not StepStatus.UNDO_FAILED:\n",
                "    if step is None:\n",
            ),
        ),
        f"{_RACES}/test_words_from_outside.py"
        "::test_a_dead_compensation_is_retried_or_skipped_whoever_comes_first",
    ),
)
