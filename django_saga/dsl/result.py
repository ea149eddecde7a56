"""What a step may return when its compensation needs other data than its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class StepResult:
    """A step's ``output``, and ``compensation_data`` for its compensation; left out, that gets the output."""

    output: Any = None
    compensation_data: Any = None
