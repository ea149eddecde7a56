"""Sagas of the tests about atomic steps: their effects are rows in the saga's own database."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from django.db import DatabaseError, IntegrityError, ProgrammingError, connection, transaction

from django_saga import NothingToUndo, PermanentFailure, Retry, Saga, StepResult, step
from django_saga.exceptions import BrokenTransaction
from tests.ledger import effect, external, wait_at_gate
from tests.models import Account

ONCE = Retry(attempts=1)
SOON = Retry(attempts=3, delay=0.01, jitter=0)


class AtomicChainSaga(Saga):
    """Two atomic steps with atomic compensations; the last, external one fails when told ``fail``."""

    name = "atomic_chain"

    @step(atomic=True, retry=ONCE)
    def reserve(self, ctx):
        external(ctx.idempotency_key, note=str(ctx.attempt))
        effect(ctx.idempotency_key)
        return StepResult({"reserved": 1}, compensation_data={"give back": 1})

    @reserve.compensation(atomic=True, retry=ONCE)
    def release(self, ctx):
        external(ctx.idempotency_key, "undo", note=str(ctx.attempt))
        effect(ctx.idempotency_key, "undo")

    @step(atomic=True, retry=ONCE)
    def pay(self, ctx):
        external(ctx.idempotency_key, note=str(ctx.attempt))
        effect(ctx.idempotency_key)
        return ctx.results["reserve"]

    @pay.compensation(atomic=True, retry=ONCE)
    def refund(self, ctx):
        external(ctx.idempotency_key, "undo", note=str(ctx.attempt))
        effect(ctx.idempotency_key, "undo")

    @step(no_compensation=True, retry=ONCE)
    def ship(self, ctx):
        external(ctx.idempotency_key)
        if ctx.input == "fail":
            raise PermanentFailure("out of boxes")
        return "shipped"


class TransferSaga(Saga):
    """Takes from one account and gives to another, in one atomic step that locks both in the order given.

    On the first run of its transaction it waits, with its first lock held, until the test lets it go on.
    """

    name = "atomic_transfer"

    @step(atomic=True, retry=ONCE, timeout=30)
    def move(self, ctx):
        source, target, amount = ctx.input["from"], ctx.input["to"], ctx.input["amount"]
        external(ctx.idempotency_key, note=f"attempt {ctx.attempt}, run {ctx.retrying_transaction}")
        accounts = Account.objects.select_for_update()
        taken = accounts.get(name=source)
        if ctx.retrying_transaction == 0:
            external(ctx.idempotency_key, "locked")
            wait_at_gate("both locked")
        given = accounts.get(name=target)
        taken.balance -= amount
        given.balance += amount
        taken.save()
        given.save()
        effect(ctx.idempotency_key)
        return [taken.balance, given.balance]

    @move.compensation
    def move_back(self, ctx):
        raise AssertionError("nothing failed")


class UnluckySaga(Saga):
    """Its transaction loses against another one every time, or ``input`` times."""

    name = "atomic_unlucky"

    @step(atomic=True, retry=ONCE)
    def collide(self, ctx):
        external(ctx.idempotency_key, note=f"attempt {ctx.attempt}, run {ctx.retrying_transaction}")
        effect(ctx.idempotency_key)
        if ctx.retrying_transaction < ctx.input:
            with connection.cursor() as cursor:
                cursor.execute("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$")
        return "through"

    @collide.compensation
    def uncollide(self, ctx):
        raise AssertionError("it never had an effect")


# --- user code that breaks the transaction it runs in ------------------------------------------------


def rolls_back() -> None:
    transaction.rollback()


def commits() -> None:
    transaction.commit()


def swallows_a_refused_rollback() -> None:
    with suppress(transaction.TransactionManagementError):
        transaction.rollback()


def sends_rollback() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ROLLBACK")


def sends_commit() -> None:
    with connection.cursor() as cursor:
        cursor.execute("  /* as a comment */ commit;")


def swallows_a_refused_statement() -> None:
    for statement in (
        "ROLLBACK",
        "COMMIT",
        "BEGIN",
        "start transaction",
        "END",
        "ROLLBACK WORK",
        "SET autocommit = 1",
    ):
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
        except BrokenTransaction:
            pass


def uses_savepoints_of_its_own() -> None:
    back = ("ROLLBACK TO SAVEPOINT mine", "-- back\nrollback to mine")
    for statement in ("SAVEPOINT mine", *back, "RELEASE SAVEPOINT mine"):
        with connection.cursor() as cursor:
            cursor.execute(statement)
    with transaction.atomic():
        effect("undone by its own block")
        transaction.set_rollback(True)


def switches_autocommit_on() -> None:
    transaction.set_autocommit(True)


def asks_for_rollback() -> None:
    transaction.set_rollback(True)


def swallows_an_integrity_error() -> None:
    Account.objects.create(name="taken")
    with suppress(IntegrityError):
        Account.objects.create(name="taken")


def swallows_a_raw_error() -> None:
    with suppress(DatabaseError), connection.cursor() as cursor:
        cursor.execute("SELECT * FROM there_is_no_such_table")


def closes_the_connection() -> None:
    connection.close()


def closes_the_connection_and_goes_on() -> None:
    connection.close()
    with suppress(ProgrammingError):
        effect("after its own close")


def closes_the_drivers_connection() -> None:
    connection.connection.close()


def leaves_a_block_open() -> None:
    transaction.atomic().__enter__()
    effect("in the open block")


def leaves_a_block_open_and_raises() -> None:
    leaves_a_block_open()
    raise ValueError("on the way out")


def closes_a_block_too_many() -> None:
    block = transaction.atomic()
    block.__enter__()
    block.__exit__(None, None, None)
    block.__exit__(None, None, None)


def exits() -> None:
    raise SystemExit(3)


def is_interrupted() -> None:
    raise KeyboardInterrupt


NASTY: dict[str, Callable[[], None]] = {
    function.__name__: function
    for function in (
        rolls_back,
        commits,
        swallows_a_refused_rollback,
        sends_rollback,
        sends_commit,
        swallows_a_refused_statement,
        uses_savepoints_of_its_own,
        switches_autocommit_on,
        asks_for_rollback,
        swallows_an_integrity_error,
        swallows_a_raw_error,
        closes_the_connection,
        closes_the_connection_and_goes_on,
        closes_the_drivers_connection,
        leaves_a_block_open,
        leaves_a_block_open_and_raises,
        closes_a_block_too_many,
        exits,
        is_interrupted,
    )
}


class NastySaga(Saga):
    """``input`` names what the second step does to its transaction; after ``undo:``, what an undo does."""

    name = "atomic_nasty"

    @step(atomic=True, retry=ONCE)
    def first(self, ctx):
        effect(ctx.idempotency_key)

    @first.compensation(atomic=True, retry=ONCE)
    def undo_first(self, ctx):
        effect(ctx.idempotency_key, "undo")
        undoes, _, name = ctx.input.rpartition(":")
        if undoes:
            NASTY[name]()

    @step(atomic=True, retry=ONCE)
    def second(self, ctx):
        external(ctx.idempotency_key)
        effect(ctx.idempotency_key)
        if ctx.input in NASTY:
            NASTY[ctx.input]()
        if ctx.input != "nothing":
            external(ctx.idempotency_key, "went on")
        if ctx.input.startswith("undo:"):
            raise PermanentFailure("told to")

    @second.compensation(atomic=True)
    def undo_second(self, ctx):
        effect(ctx.idempotency_key, "undo")


class HookSaga(Saga):
    """Its atomic step has something done after commit; ``fail`` has that fail, ``step`` the step itself."""

    name = "atomic_hook"

    @step(atomic=True, retry=ONCE)
    def write(self, ctx):
        effect(ctx.idempotency_key)
        key, told = ctx.idempotency_key, ctx.input

        def hook() -> None:
            external(key, "hook")
            if told == "fail":
                raise ValueError("the hook failed")

        transaction.on_commit(hook)
        if told == "step":
            raise PermanentFailure("the step failed")
        return "written"

    @write.compensation(atomic=True)
    def erase(self, ctx):
        effect(ctx.idempotency_key, "undo")

    @step(no_compensation=True, retry=ONCE)
    def after(self, ctx):
        external(ctx.idempotency_key)
        return "after"


class RetriedSaga(Saga):
    """An atomic step that fails twice, with its effect written each time, and an undo that does the same."""

    name = "atomic_retried"

    @step(atomic=True, retry=SOON)
    def write(self, ctx):
        external(ctx.idempotency_key, note=str(ctx.attempt))
        effect(ctx.idempotency_key)
        if ctx.attempt < 3:
            raise ValueError("not yet")
        return "written"

    @write.compensation(atomic=True, retry=SOON)
    def erase(self, ctx):
        external(ctx.idempotency_key, "undo", note=str(ctx.attempt))
        effect(ctx.idempotency_key, "undo")
        if ctx.attempt < 2:
            raise ValueError("not yet")
        raise NothingToUndo

    @step(no_compensation=True, retry=ONCE)
    def end(self, ctx):
        if ctx.input == "fail":
            raise PermanentFailure("told to")
