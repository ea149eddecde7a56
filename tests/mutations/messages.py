"""Mutations of outbox, relay and inbox: as in ``table``."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

_HOUSEKEEPING = "tests/messages/test_housekeeping.py"
_RELAY = "tests/messages/test_relay.py"

MUTATIONS = (
    Mutation(
        "M5",
        "what a step published is written after the transaction of its result",
        (
            Edit(
                "django_saga/engine/journal.py",
                "        publishing.write(using, [draft for task in says for draft in task.messages])\n",
                "        drafts = [draft for task in says for draft in task.messages]\n"
                "        transaction.on_commit(lambda: publishing.write(using, drafts), using=using)\n",
            ),
        ),
        "tests/sweep/test_telling.py::test_a_saga_says_everything_once_in_its_order[kill after-work]",
    ),
    Mutation(
        "M6",
        "the relay marks messages before the broker has confirmed them",
        (
            Edit(
                "django_saga/messaging/relay.py",
                "        receipts = self._publish(name, rows)\n",
                "        self._mark(held, rows, [None] * len(rows))\n"
                "        receipts = self._publish(name, rows)\n",
            ),
        ),
        f"{_RELAY}::test_a_broker_that_is_away_costs_no_message_an_attempt",
    ),
    Mutation(
        "M7",
        "relays take rows, not the partition of their streams",
        (Edit("django_saga/store/partitions.py", 'OR owner = %s)"', 'OR owner = %s OR TRUE)"'),),
        f"{_RELAY}::test_two_relays_do_not_send_from_one_partition",
    ),
    Mutation(
        "M8",
        "the relay goes on behind the last id it has seen",
        (
            Edit(
                "django_saga/store/partitions.py",
                "    last, newest, size = 0, None, ",
                "    last, newest, size = _seen.get(values[0], 0), None, ",
            ),
            Edit(
                "django_saga/store/partitions.py",
                "    return found[:limit]\n",
                "    _seen[values[0]] = max([row.id for row in found], default=last)\n"
                "    return found[:limit]\n",
            ),
            Edit("django_saga/store/partitions.py", "_LANES = 500\n", "_LANES = 500\n_seen: dict = {}\n"),
        ),
        f"{_RELAY}::test_a_message_that_is_committed_late_is_sent_though_later_ones_were",
    ),
    Mutation(
        "M9",
        "a message is marked as done in a transaction of its own",
        (
            Edit(
                "django_saga/messaging/handling.py",
                "            if handled and sql.together(using, [*ends, inbox.finished(using, handled)])"
                " != len(handled):\n",
                "            mark = [*ends, inbox.finished(using, handled)]\n"
                "            transaction.on_commit(lambda: sql.together(using, mark), using=using)\n"
                "            if not all(handled):\n",
            ),
        ),
        "tests/sweep/test_post.py"
        "::test_messages_are_sent_and_handled_once_in_their_order_whatever_happens_on_the_way[kill after]",
    ),
    Mutation(
        "M10",
        "a message is in the inbox once, not once for every consumer",
        (
            Edit(
                "django_saga/migrations/0011_messaging.py",
                "UniqueConstraint(fields=('consumer', 'message_id')",
                "UniqueConstraint(fields=('message_id',)",
            ),
        ),
        "tests/messages/test_handlers.py::test_every_consumer_gets_a_message_and_its_type",
    ),
    Mutation(
        "M80",
        "a relay marks what it sent without a look at its token",
        (
            Edit(
                "django_saga/messaging/relay.py",
                "strict=True) if pair[0].part in mine]\n",
                "strict=True)]\n",
            ),
        ),
        f"{_RELAY}::test_a_relay_that_lost_its_lease_marks_nothing",
    ),
    Mutation(
        "M81",
        "handlers are called without a look at the token of their partition",
        (
            Edit(
                "django_saga/messaging/handling.py",
                "            if not all(row.part in mine for row in rows):\n",
                "            if not mine and not rows:\n",
            ),
        ),
        "tests/messages/test_handlers.py::test_a_worker_that_lost_its_lease_handles_nothing",
    ),
    Mutation(
        "M82",
        "a message that comes again is not looked for among those that were pruned",
        (Edit("django_saga/store/inbox.py", "if first <= each.number <= last:", "if False:"),),
        f"{_HOUSEKEEPING}::test_a_duplicate_older_than_what_is_kept_stays_out",
    ),
    Mutation(
        "M97",
        "what was pruned is asked for before a message is stored, not after",
        (
            Edit(
                "django_saga/store/inbox.py",
                "    rows: list[sql.Row] = []\n",
                "    rows: list[sql.Row] = []\n"
                "    known = _marks(using, sorted({each.stream or '' for each in arrivals}))\n",
            ),
            Edit(
                "django_saga/store/inbox.py",
                "_withdraw_old(using, arrivals, now) if",
                "_withdraw_old(using, arrivals, now, known) if",
            ),
            Edit(
                "django_saga/store/inbox.py",
                "arrivals: Sequence[Arrival], written_at: datetime) -> int:",
                "arrivals: Sequence[Arrival], written_at: datetime, known) -> int:",
            ),
            Edit(
                "django_saga/store/inbox.py",
                "    known = _marks(using, sorted({each.stream for each in arrivals if"
                " each.stream is not None}))\n",
                "",
            ),
        ),
        f"{_HOUSEKEEPING}::test_a_duplicate_that_comes_while_its_row_is_pruned_stays_out",
    ),
    Mutation(
        "M99",
        "a consumer is given up though code says meanwhile that it has it",
        (
            Edit(
                "django_saga/messaging/housekeeping.py",
                "        if not subscriptions.lock_unseen(using, consumer):\n",
                "        if not subscriptions.lock_unseen(using, consumer) and False:\n",
            ),
        ),
        "tests/messages/test_other_code.py"
        "::test_code_that_says_it_is_there_while_its_consumer_is_given_up_is_not_overlooked",
    ),
    Mutation(
        "M98",
        "a look takes what was committed between its pages",
        (Edit("django_saga/store/partitions.py", "if page and newest is None:", "if False:"),),
        f"{_RELAY}::test_what_is_committed_between_two_pages_of_a_look_is_left_to_the_next",
    ),
)
