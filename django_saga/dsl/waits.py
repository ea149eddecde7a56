"""Steps that wait: `pause = sleep(timedelta(days=14))`. They stand where other steps do, in every form."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from django_saga.core.waits import WaitDefinition, WaitKind
from django_saga.dsl.step import Duration, Step, StepFunction


class Waiting(Step):
    """A step that does nothing itself. Its function takes the context alone and says what it waits for.

    In a class it is named by the attribute it is assigned to.
    """

    free = True

    def __init__(self, function: StepFunction, wait: WaitDefinition, **options: Any) -> None:
        super().__init__(function, **{**options, "name": options.get("name") or ""})
        self.wait = wait
        # What it is added to a builder or a flow with; there is no attribute to name it there.
        given = {name: value for name, value in options.items() if value is not None}
        self.options: dict[str, Any] = {"name": str(wait.kind), **given}

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name


class Giving:
    """The function of a step that has others act: gives what they get, by default the step's input.

    Each step has another: ``after=[...]`` of some forms tells steps by their functions.
    """

    def __init__(self, function: Callable[[Any], Any] | None) -> None:
        self._function = function

    def __call__(self, ctx: Any) -> Any:
        return ctx.input if self._function is None else self._function(ctx)


def sleep(
    period: Duration | None = None,
    /,
    *,
    until: datetime | Callable[[Any], datetime] | None = None,
    name: str | None = None,
    after: Step | str | Iterable[Step | str] | None = None,
) -> Waiting:
    """Give a step that lets time pass: ``period`` (seconds or ``timedelta``) from when it is opened, or
    ``until`` a time, which a function of the context may give.

    No worker and no thread waits: the time stands in the step's row. Raises ``TypeError`` unless exactly one
    of the two is given, and ``ValueError`` for a period that is not positive or a time without a time zone.
    """
    if (period is None) is (until is None):
        raise TypeError("sleep() takes how long, as in sleep(timedelta(hours=1)), or until=...: one of them.")
    function: StepFunction = _nothing
    if period is not None:
        length = period if isinstance(period, timedelta) else timedelta(seconds=period)
        if length <= timedelta(0):
            raise ValueError(f"sleep({period!r}): the time to sleep has to be positive.")
        wait = WaitDefinition(kind=WaitKind.SLEEP, period=length)
    else:
        if isinstance(until, datetime) and until.tzinfo is None:
            raise ValueError(f"sleep(until={until!r}): give a datetime with a time zone.")
        wait = WaitDefinition(kind=WaitKind.SLEEP)
        function = until if callable(until) else _at(until)
    return Waiting(function, wait, name=name, after=after)


def _nothing(ctx: Any) -> None:
    return None


def _at(moment: Any) -> Callable[[Any], Any]:
    return lambda ctx: moment
