"""JSON that a person gives on the command line."""

from __future__ import annotations

import argparse
import json
from typing import Any


def json_value(text: str) -> Any:
    """Read JSON. Raises ``argparse.ArgumentTypeError`` that says what is wrong with it."""
    try:
        return json.loads(text)
    except ValueError as error:
        hint = f"'\"{text}\"'" if text.isidentifier() else "as in '{\"amount\": 5}'"
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON ({error}); write it {hint}") from None
