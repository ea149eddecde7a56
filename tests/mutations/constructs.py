"""Mutations of what steps and sagas can do beside running one after the other: as in ``table``."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

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
        (Edit("django_saga/store/external.py", ' {sql.locking(connection)}"', '"'),),
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
                "django_saga/core/forward.py",
                "tries.next_try(step._replace(deadline_at=None), event, spec.retry, now)\n",
                "tries.next_try(step, event, spec.retry, now)\n",
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
)
