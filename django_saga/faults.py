"""Named fault points: places where a test may have a process die, hang or lose its connection.

Inert unless ``arm`` was called, which only happens when the setting ``FAULT_POINTS`` *and* the environment
variable ``SAGA_FAULTS`` ask for it. ``SAGA_FAULTS="step.after_user@2=kill9,t2.before_commit=raise"``: the
second time the first point is reached the process is killed, the first time the second is reached an error
is raised. A number after a ``%`` repeats the fault from then on: ``claim.after_commit@1%=kill9``.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

POINTS = frozenset(
    {
        "start.after_insert",
        "start.after_commit",
        "claim.before",
        "claim.after_commit",
        "step.before_user",
        "step.mid",
        "step.after_user",
        "t2.after_fence",
        "t2.after_effect",
        "t2.before_commit",
        "t2.after_commit",
        "advance.wakeup",
        "heartbeat.tick",
        "reap.after_select",
        "reap.after_commit",
        "comp.before_user",
        "comp.mid",
        "comp.after_user",
        "operator.after_lock",
        "operator.before_commit",
        "lock.acquired",
        "lock.released",
        "outbox.after_insert",
        "outbox.after_commit",
        "relay.after_take",
        "relay.after_publish",
        "relay.before_mark",
        "relay.after_mark",
        "inbox.before_store",
        "inbox.before_wake",
        "inbox.after_store",
        "inbox.after_begin",
        "inbox.mid",
        "inbox.before_commit",
        "inbox.after_commit",
        "flow.before_undo",
        "flow.after_undo",
    }
)


class FaultInjected(Exception):
    """Raised at a fault point that was told to ``raise``."""


@dataclass
class _Fault:
    action: str
    hit: int = 1
    repeats: bool = False
    reached: int = field(default=0)


_armed: dict[str, _Fault] | None = None
_lock = threading.Lock()
# What ``dropconn`` does is set by whoever knows connections; this floor knows none.
drop_connection: Callable[[], None] | None = None


def fault_point(name: str) -> None:
    """Do what was asked for the point ``name``: nothing, outside tests."""
    if _armed is not None:
        _reach(name)


def arm(spec: str) -> None:
    """Arm the points of ``spec`` (see the module); an empty one disarms. Raises ``ValueError`` for an
    unknown point.
    """
    global _armed
    faults: dict[str, _Fault] = {}
    for part in filter(None, (piece.strip() for piece in spec.split(","))):
        place, _, action = part.partition("=")
        name, _, hit = place.partition("@")
        if name not in POINTS:
            raise ValueError(f"SAGA_FAULTS: there is no fault point {name!r}")
        repeats = hit.endswith("%")
        faults[name] = _Fault(action or "raise", int(hit.rstrip("%") or 1), repeats)
    _armed = faults or None


def _reach(name: str) -> None:
    assert _armed is not None
    fault = _armed.get(name)
    if fault is None:
        return
    with _lock:
        fault.reached += 1
        strikes = fault.reached >= fault.hit if fault.repeats else fault.reached == fault.hit
    if strikes:
        _strike(name, fault.action)


def _strike(name: str, action: str) -> None:
    verb, _, argument = action.partition(":")
    if verb == "kill9":
        os.kill(os.getpid(), signal.SIGKILL)
    elif verb == "exit":
        os._exit(int(argument or 1))
    elif verb == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif verb in ("sleep", "hang"):
        time.sleep(float(argument or 3600))
    elif verb == "dropconn" and drop_connection is not None:
        drop_connection()
    elif verb == "raise":
        raise FaultInjected(f"fault point {name}")
    else:
        raise ValueError(f"SAGA_FAULTS: unknown action {action!r} for {name}")
