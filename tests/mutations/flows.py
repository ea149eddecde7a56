"""Mutations of flows: as in ``table``."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

_HANDLING = "django_saga/messaging/handling.py"
_FLOWS = "django_saga/messaging/flows.py"
_STORE = "django_saga/store/flows.py"
_TESTS = "tests/messages/test_choreography.py"
_RACES = "tests/messages/test_turning_back.py"

MUTATIONS = (
    Mutation(
        "M91",
        "a handler commits though its message was refused meanwhile",
        (
            Edit(
                _HANDLING,
                "[*ends, inbox.finished(using, handled)]) != len(handled):\n",
                "[*ends, inbox.finished(using, handled)]) < 0:\n",
            ),
        ),
        f"{_RACES}::test_a_handler_at_work_while_its_flow_is_turned_back_leaves_no_effect",
    ),
    Mutation(
        "M92",
        "whoever turns a flow back leaves what waits as it is",
        (Edit(_FLOWS, "            late.append(row.pk)\n", "            pass\n"),),
        f"{_RACES}::test_a_handler_at_work_while_its_flow_is_turned_back_leaves_no_effect",
    ),
    Mutation(
        "M93",
        "a flow is turned back without a look at what is about to be committed",
        (Edit(_STORE, ".select_for_update()", ""),),
        f"{_RACES}::test_a_flow_is_not_turned_back_before_a_handler_that_is_about_to_commit",
    ),
    Mutation(
        "M94",
        "a message that comes after its flow has failed is handled",
        (
            Edit(
                _HANDLING, "        if refused and forward and not handler.answers:\n", "        if False:\n"
            ),
        ),
        f"{_TESTS}::test_a_message_that_comes_after_the_failure_has_no_effect",
    ),
    Mutation(
        "M95",
        "a compensation that fails has the flow fail once more",
        (Edit(_HANDLING, " and _goes_forward(row)\n", "\n"),),
        f"{_TESTS}::test_a_compensation_that_says_the_flow_failed_does_not_begin_again",
    ),
    Mutation(
        "M96",
        "the failure of a flow is told after the mark, in a transaction of its own",
        (
            Edit(
                _HANDLING,
                "        flows.say(self._using, row.flow, said, headers)\n",
                "        transaction.on_commit(\n"
                "            lambda: flows.say(self._using, row.flow, said, headers), using=self._using\n"
                "        )\n",
            ),
        ),
        "tests/sweep/test_post.py::"
        "test_a_flow_that_fails_is_undone_once_whatever_happens_on_the_way[kill after]",
    ),
)
