"""What makes the input of one step from the saga's input and earlier results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from django_saga.exceptions import PermanentFailure

# Takes the context, whose ``input`` is the saga's, and gives what the step sees as ``ctx.input``.
Mapper: TypeAlias = Callable[[Any], Any]

# What a function of stored values raises it raises again the next time.
_FAULTS = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


class InputMapper:
    """Calls ``function`` for ``step``, and says of its errors where they come from."""

    def __init__(self, step: str, function: Mapper) -> None:
        self.step = step
        self.function = function

    def __call__(self, ctx: Any) -> Any:
        """Give the step's input. Raises ``PermanentFailure`` for what another attempt cannot mend."""
        try:
            return self.function(ctx)
        except _FAULTS as error:
            told = f"{type(error).__name__}: {error}"
            raise PermanentFailure(f"The input of step {self.step!r} could not be made: {told}") from error
