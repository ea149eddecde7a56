"""Mutations of remote steps, participants and callbacks: as in ``table``."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

_REMOTE = "tests/waits/test_remote.py"
_REPLIES = "tests/waits/test_replies.py"
_CALLBACKS = "tests/webhooks/test_callbacks.py"

MUTATIONS = (
    Mutation(
        "M83",
        "a participant carries out whatever comes",
        (
            Edit(
                "django_saga/messaging/participant.py",
                "    return do_once(command.idempotency_key, lambda: call(command), using=command.using,"
                " savepoint=False)\n",
                "    return call(command)\n",
            ),
        ),
        f"{_REMOTE}::test_a_command_that_comes_twice_is_carried_out_once_and_answered_twice",
    ),
    Mutation(
        "M84",
        "a participant undoes without a note that it did",
        (
            Edit(
                "django_saga/messaging/participant.py",
                "        undo_once(command.idempotency_key, undo, using=command.using)\n",
                "",
            ),
        ),
        f"{_REMOTE}::test_a_compensation_that_overtakes_its_command_keeps_it_from_being_carried_out",
    ),
    Mutation(
        "M85",
        "whoever names a step may answer for the other side",
        (
            Edit(
                "django_saga/engine/remote.py",
                'signing.Signer(salt=_SALT).unsign(message.headers.get(REPLY_TOKEN, ""))',
                'message.headers.get(REPLY_TOKEN, "").rpartition(":")[0] or f"reply:{message.id}:do:1"',
            ),
        ),
        f"{_REPLIES}::test_a_forged_reply_is_refused_and_kept_for_people_to_see",
    ),
    Mutation(
        "M86",
        "all commands of a step have one address for their replies",
        (
            Edit(
                "django_saga/engine/remote.py",
                "reply_address(task.row.id, task.row.token, undo=task.undo)",
                "reply_address(task.row.id, 0, undo=task.undo)",
            ),
        ),
        f"{_REMOTE}::test_without_a_reply_the_command_is_sent_again_with_the_same_key_and_then_nobody_knows",
    ),
    Mutation(
        "M87",
        "a command without a reply counts as failed",
        (
            Edit(
                "django_saga/core/tries.py",
                " and event.cause is not Cause.NO_REPLY\n",
                "\n",
            ),
        ),
        f"{_REMOTE}::test_a_command_that_failed_is_undone_if_nobody_answered_the_one_before",
    ),
    Mutation(
        "M88",
        "a saga turns back though its pivot is at work on the other side",
        (
            Edit(
                "django_saga/core/forward.py",
                " or tries.has_command_out(definition[pivot.name], pivot):\n",
                ":\n",
            ),
        ),
        f"{_REMOTE}::test_a_pivot_that_is_out_is_under_way",
    ),
    Mutation(
        "M89",
        "callbacks are believed whenever they were signed",
        (
            Edit(
                "django_saga/core/webhooks.py",
                "TOLERANCE = timedelta(minutes=5)",
                "TOLERANCE = timedelta(days=5)",
            ),
        ),
        f"{_CALLBACKS}::test_it_is_believed_for_five_minutes_and_kept_out_for_longer",
    ),
    Mutation(
        "M90",
        "a partner's callback is known by the id that it gives itself",
        (Edit("django_saga/messaging/intake.py", "message_id=known, stream=None, number=0, ", ""),),
        f"{_CALLBACKS}::test_a_partner_cannot_pass_for_another_sender",
    ),
)
