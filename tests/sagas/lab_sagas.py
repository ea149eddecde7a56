"""Sagas that tests of the lab and the matrix carry: right ones, and some that have a fault of their own."""

from __future__ import annotations

from datetime import timedelta

from django_saga import Context, Retry, Saga, step
from tests import ledger

PATIENT = Retry(attempts=3, delay=timedelta(minutes=1))


class Bank:
    """Money that was taken, by the key of the step that took it; what it knows it does not do again."""

    def __init__(self) -> None:
        self.taken: dict[str, int] = {}
        self.returned: set[str] = set()
        self.calls: list[str] = []

    @property
    def balance(self) -> int:
        return sum(amount for key, amount in self.taken.items() if key not in self.returned)

    def take(self, key: str, amount: int) -> None:
        self.calls.append(key.partition(":")[2])
        self.taken[key] = amount

    def give_back(self, key: str) -> None:
        """Give back what was taken with ``key``, if anything was."""
        self.calls.append(f"back:{key.partition(':')[2]}")
        self.returned.add(key)


bank = Bank()


class LabSaga(Saga):
    """One step in the database, one outside, one that is awaited."""

    name = "lab"

    @step(atomic=True)
    def reserve(self, ctx: Context) -> dict[str, int]:
        ledger.effect(ctx.idempotency_key)
        return {"pieces": ctx.input["amount"]}

    @reserve.compensation(atomic=True)
    def release(self, ctx: Context) -> None:
        assert ctx.result == {"pieces": ctx.input["amount"]}
        ledger.effect(ctx.idempotency_key, "undo")

    @step(retry=PATIENT)
    def charge(self, ctx: Context) -> str:
        bank.take(ctx.idempotency_key, ctx.input["amount"])
        return ctx.idempotency_key

    @charge.compensation(retry=PATIENT)
    def refund(self, ctx: Context) -> None:
        bank.give_back(f"{ctx.saga_id}:charge:do")

    @step(retry=PATIENT)
    async def ship(self, ctx: Context) -> str:
        bank.take(ctx.idempotency_key, 1)  # what the parcel costs
        return str(ctx.results["charge"])

    @ship.compensation(retry=PATIENT)
    async def recall(self, ctx: Context) -> None:
        bank.give_back(f"{ctx.saga_id}:ship:do")


class LabGraphSaga(Saga):
    """Two branches between a first step and a last one."""

    name = "lab_graph"

    @step
    def begin(self, ctx: Context) -> None:
        bank.take(ctx.idempotency_key, 1)

    @begin.compensation
    def unbegin(self, ctx: Context) -> None:
        bank.give_back(f"{ctx.saga_id}:begin:do")

    @step(after=[begin], retry=PATIENT)
    def left(self, ctx: Context) -> None:
        bank.take(ctx.idempotency_key, 1)

    @left.compensation
    def unleft(self, ctx: Context) -> None:
        bank.give_back(f"{ctx.saga_id}:left:do")

    @step(after=[begin], atomic=True)
    def right(self, ctx: Context) -> None:
        ledger.effect(ctx.idempotency_key)

    @right.compensation(atomic=True)
    def unright(self, ctx: Context) -> None:
        ledger.effect(ctx.idempotency_key, "undo")


class LabDeadlineSaga(Saga):
    """Has an hour, and a step that would wait for longer than that."""

    name = "lab_deadline"
    deadline = timedelta(hours=1)

    @step(retry=Retry(attempts=2, delay=timedelta(hours=2), max_delay=timedelta(hours=2)))
    def charge(self, ctx: Context) -> None:
        bank.take(ctx.idempotency_key, ctx.input["amount"])

    @charge.compensation
    def refund(self, ctx: Context) -> None:
        bank.give_back(f"{ctx.saga_id}:charge:do")


class LabForgetfulSaga(Saga):
    """Its compensation undoes nothing."""

    name = "lab_forgetful"

    @step
    def charge(self, ctx: Context) -> None:
        bank.take(ctx.idempotency_key, ctx.input["amount"])

    @charge.compensation
    def refund(self, ctx: Context) -> None:
        pass

    @step(no_compensation=True)
    def thank(self, ctx: Context) -> None:
        pass


class LabTrustingSaga(Saga):
    """Its compensation needs a result, which a step that is in doubt has not."""

    name = "lab_trusting"

    @step
    def charge(self, ctx: Context) -> dict[str, str]:
        bank.take(ctx.idempotency_key, ctx.input["amount"])
        return {"key": ctx.idempotency_key}

    @charge.compensation
    def refund(self, ctx: Context) -> None:
        bank.give_back(ctx.result["key"])

    @step(no_compensation=True)
    def thank(self, ctx: Context) -> None:
        pass


class LabCarelessSaga(Saga):
    """It takes money with another key each time."""

    name = "lab_careless"

    @step
    def charge(self, ctx: Context) -> str:
        key = f"{ctx.idempotency_key}:{len(bank.calls)}"
        bank.take(key, ctx.input["amount"])
        return key

    @charge.compensation
    def refund(self, ctx: Context) -> None:
        for key in [key for key in bank.taken if key.startswith(str(ctx.saga_id))]:
            bank.give_back(key)

    @step(no_compensation=True)
    def thank(self, ctx: Context) -> None:
        pass


class LabLeakySaga(Saga):
    """Its atomic step calls the outside world, which no rollback undoes."""

    name = "lab_leaky"

    @step(atomic=True)
    def charge(self, ctx: Context) -> None:
        bank.take(ctx.idempotency_key, ctx.input["amount"])

    @charge.compensation(atomic=True)
    def refund(self, ctx: Context) -> None:
        bank.give_back(f"{ctx.saga_id}:charge:do")


class LabImpatientSaga(Saga):
    """Its compensation is tried once."""

    name = "lab_impatient"

    @step
    def charge(self, ctx: Context) -> None:
        bank.take(ctx.idempotency_key, ctx.input["amount"])

    @charge.compensation(retry=Retry(attempts=1))
    def refund(self, ctx: Context) -> None:
        bank.give_back(f"{ctx.saga_id}:charge:do")


class LabRestlessSaga(Saga):
    """Fails, and is tried again, almost for ever."""

    name = "lab_restless"

    @step(no_compensation=True, retry=Retry(attempts=10**6))
    def insist(self, ctx: Context) -> None:
        raise RuntimeError("not yet")
