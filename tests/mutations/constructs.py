"""Mutations of what steps and sagas can do beside running one after the other: as in ``table``."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

_FORKS = "tests/operations/test_forks"
_RACES = "tests/interleaving"

MUTATIONS = (
    Mutation(
        "M40",
        "whoever commits a step to waiting does not look once more",
        (
            Edit(
                "django_saga/engine/journal.py",
                "    if waiting.ring(using, waiting.there(using, keys)):\n",
                "    if False:\n",
            ),
        ),
        f"{_RACES}/test_outside.py"
        "::test_an_event_that_is_sent_while_the_step_looks_for_it_wakes_it_in_every_order",
    ),
    Mutation(
        "M41",
        "whoever sends an event wakes nobody",
        (
            Edit(
                "django_saga/engine/ringing.py",
                "    if waiting.ring(using, addresses) and",
                "    if False and",
            ),
        ),
        f"{_RACES}/test_outside.py"
        "::test_an_event_that_is_sent_while_the_step_looks_for_it_wakes_it_in_every_order",
    ),
    Mutation(
        "M42",
        "an event is taken without its lock",
        (Edit("django_saga/store/external.py", " {sql.locking(connection)}) RETURNING", ") RETURNING"),),
        f"{_RACES}/test_outside.py::test_two_who_wait_for_one_event_take_it_once_in_every_order",
    ),
    Mutation(
        "M43",
        "a step looks for a decision without its saga's lock",
        (Edit("django_saga/engine/outside.py", "    sagas.lock(task.using, [task.row.saga_id])\n", ""),),
        f"{_RACES}/test_outside.py::test_who_decides_as_the_time_is_up_is_told_truly_whether_it_counts",
    ),
    Mutation(
        "M44",
        "what a step waits for is not looked for where nobody told of it",
        (
            Edit(
                "django_saga/store/waiting.py",
                "    return sum(ring(using, set(look(using))) for look in MISSED.values())",
                "    return 0",
            ),
        ),
        "tests/waits/test_outside_workers.py::test_what_nobody_was_told_of_is_found_by_the_next_worker",
    ),
    Mutation(
        "M45",
        "a look that was cut short as the time was up ends the step by its deadline",
        (
            Edit(
                "django_saga/core/tries.py",
                "next_try(step._replace(deadline_at=None), event, policy, now)\n",
                "next_try(step, event, policy, now)\n",
            ),
        ),
        "tests/waits/test_events.py::test_a_worker_that_dies_as_the_time_is_up_costs_no_policy",
    ),
    Mutation(
        "M32",
        "an effect is compensated without a lock on what is known of it",
        (
            Edit(
                "django_saga/store/effects.py",
                "WHERE effect_key = %s {sql.locking(connection)}",
                "WHERE effect_key = %s",
            ),
        ),
        f"{_RACES}/test_guard.py::test_a_compensation_twice_at_once_undoes_once",
    ),
    Mutation(
        "M33",
        "a compensation without an effect does not bar it",
        (
            Edit(
                "django_saga/engine/guard.py",
                "        if effects.begin(using, stem, Status.BARRED):\n            return False\n",
                "",
            ),
            Edit(
                "django_saga/engine/guard.py",
                "        if found.status != Status.DONE:\n            return False\n",
                "",
            ),
        ),
        f"{_RACES}/test_guard.py::test_an_effect_and_its_compensation_at_once_leave_nothing_behind",
    ),
    Mutation(
        "M72",
        "an effect that is asked for within itself is taken for done",
        (
            Edit(
                "django_saga/engine/guard.py",
                "    if found.result is None:\n",
                '    if found.result is None:\n        return "null"\n    if not found.result:\n',
            ),
        ),
        "tests/guard/test_guard.py"
        "::test_an_effect_that_is_asked_for_within_itself_is_an_error_and_not_silently_left_out",
    ),
    Mutation(
        "M50",
        "a step that may have run is asked for again",
        (
            Edit(
                "django_saga/core/tries.py",
                '    return step._replace(attempt=attempt, due_at=due), ""',
                '    return step._replace(attempt=attempt, due_at=due, reason=ASKING), ""',
            ),
        ),
        "tests/testing/test_conditions.py"
        "::test_after_a_crash_of_the_step_itself_it_is_not_asked_again[committed]",
    ),
    Mutation(
        "M51",
        "a saga that turned back begins a step whose condition was met",
        (
            Edit(
                "django_saga/core/machine.py",
                "(SagaStatus.COMPENSATING, events.ConditionMet): back.condition_answered,",
                "(SagaStatus.COMPENSATING, events.ConditionMet): forward.condition_met,",
            ),
        ),
        "tests/testing/test_conditions.py"
        "::test_a_saga_cancelled_by_the_time_of_the_answer_never_begins_the_step[committed]",
    ),
    Mutation(
        "M52",
        "a step is passed over whatever became of it before",
        (
            Edit(
                "django_saga/core/machine.py",
                "        if type(event) in _ANSWERS and step.asking is",
                "        if type(event) is events.StepSucceeded and step.asking is",
            ),
        ),
        "tests/core/test_machine_condition.py"
        "::test_no_step_succeeds_unasked_and_none_that_may_have_run_is_passed_over",
    ),
    Mutation(
        "M34",
        "the end of a child wakes nobody",
        (
            Edit(
                "django_saga/engine/journal.py",
                "                    parents.add(before.parent_step)\n",
                "                    pass\n",
            ),
        ),
        f"{_RACES}/test_children.py::test_an_end_while_the_parent_looks_is_seen_in_every_order",
    ),
    Mutation(
        "M35",
        "a step that waits for children does not look again once that is committed",
        (
            Edit(
                "django_saga/store/children.py",
                'waiting.SOURCES["children"] = there\n',
                "",
            ),
        ),
        f"{_RACES}/test_children.py::test_an_end_while_the_parent_looks_is_seen_in_every_order",
    ),
    Mutation(
        "M60",
        "a saga is forked while a worker has a step of it",
        (
            Edit(
                "django_saga/engine/forking.py",
                "tuple(sorted(row.name for row in rows.values() if row.id in flying))",
                "()",
            ),
        ),
        f"{_RACES}/test_forks.py::test_a_step_that_is_claimed_meanwhile_is_run_by_the_saga_or_by_its_fork",
    ),
    Mutation(
        "M61",
        "what a fork took over is undone with a key of the fork's",
        (Edit("django_saga/engine/tasks.py", "{self.row.ran_in or self.row.saga_id}", "{self.row.saga_id}"),),
        f"{_FORKS}.py::test_a_fork_that_turns_back_undoes_each_effect_once_and_the_original_none",
    ),
    Mutation(
        "M62",
        "what a fork took over is undone with the fork's input, where its worker hands it on",
        (
            Edit(
                "django_saga/engine/journal.py",
                "work.task is not None and work.task.row.ran_in == row.ran_in",
                "True",
            ),
        ),
        f"{_FORKS}.py::test_a_fork_that_turns_back_undoes_each_effect_once_and_the_original_none",
    ),
    Mutation(
        "M63",
        "what a fork took over is undone with the fork's input, where it is claimed",
        (
            Edit(
                "django_saga/engine/recovery.py",
                "            text = inputs[row.ran_in][1]\n",
                "            pass\n",
            ),
        ),
        f"{_FORKS}.py::test_a_claimed_compensation_that_was_taken_over_has_the_input_it_was_done_with",
    ),
    Mutation(
        "M64",
        "a compensation that its worker left behind is called off by a fork",
        (
            Edit(
                "django_saga/core/fork.py",
                " and step.outcome is Outcome.SUCCEEDED and step.name not in event.undo_tried",
                " and step.outcome is Outcome.SUCCEEDED",
            ),
        ),
        f"{_FORKS}_refused.py::test_a_compensation_that_was_left_behind_by_its_worker_counts_as_tried",
    ),
    Mutation(
        "M65",
        "the original's locks are not handed over",
        (Edit("django_saga/engine/forking.py", "    locks.hand_over(using, saga_id, new.id)\n", ""),),
        f"{_RACES}/test_forks.py::test_nobody_takes_the_lock_while_it_goes_over_to_the_fork",
    ),
    Mutation(
        "M66",
        "a saga that was cancelled goes on as its fork",
        (Edit("django_saga/engine/forking.py", "        rules.require_wanted(told)\n", ""),),
        f"{_RACES}/test_forks.py::test_of_a_cancellation_and_a_fork_exactly_one_is_done",
    ),
    Mutation(
        "M67",
        "a fork begins before steps whose effects nobody would undo",
        (
            Edit(
                "django_saga/core/fork.py",
                "        elif name in passed and name not in behind:\n",
                "        elif name in passed:\n",
            ),
        ),
        "tests/core/test_machine_forks.py::test_a_fork_takes_over_what_was_done_and_leaves_nothing_to_undo",
    ),
)
