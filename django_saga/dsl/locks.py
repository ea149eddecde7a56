"""What a saga locks: the function of its input that says so, and the targets it gives."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from django_saga.core.names import fit_rule, fits
from django_saga.exceptions import InvalidInput

# Takes the saga's input, as its declared type, and gives what to lock: ``["order:42"]``.
Locks: TypeAlias = Callable[[Any], Iterable[str]]

MAX_TARGET_LENGTH = 200


def misfit(locks: object) -> str:
    """Say why ``locks`` cannot be asked for targets; nothing if it can."""
    if not callable(locks):
        return f"locks = {locks!r} is not a function"
    if inspect.iscoroutinefunction(locks):
        return "locks is async def"
    try:
        inspect.signature(locks).bind(None)
    except TypeError:
        return "locks cannot be called with the input alone"
    except ValueError:  # a builtin that does not say
        return ""
    return ""


def targets(saga: str, locks: Locks, given: Any) -> tuple[str, ...]:
    """Give what ``locks`` says of the input ``given``, each once and sorted: the order in which locks are
    taken.

    Raises ``InvalidInput`` for what no lock can be of, and whatever ``locks`` raises.
    """
    wanted = locks(given)
    if isinstance(wanted, (str, bytes)) or not isinstance(wanted, Iterable):
        raise InvalidInput(f"Saga {saga}: locks gave {wanted!a:.80}; it has to give a list of texts")
    found = list(wanted)
    for target in found:
        if not fits(target, MAX_TARGET_LENGTH):
            raise InvalidInput(
                f"Saga {saga}: locks gave {target!a:.80}; a lock's target has to be "
                f"{fit_rule(MAX_TARGET_LENGTH)}"
            )
    return tuple(sorted(set(found)))
