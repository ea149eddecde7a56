"""What a sweep expects of each saga, whatever struck its process, told by what its steps did."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, combinations, product
from typing import Any

from django_saga.models import SagaInstance
from django_saga.testing import assert_saga_invariants
from tests.ledger import Ledger, Line, effects


@dataclass(frozen=True)
class Canonical:
    """A saga with its input, how it ends, and the effects that it then has had.

    ``inside``: effects in the database, each exactly once. ``outside``: calls, each at least once and always
    with the same key. ``order``: functions that begin only after others have had their last try.
    """

    title: str
    saga: str
    input: Any
    status: str
    inside: frozenset[str]
    outside: frozenset[str]
    order: tuple[tuple[str, str], ...]
    silent: frozenset[str] = field(default=frozenset())  # functions that run and have no effect
    doubts: frozenset[str] = field(default=frozenset())  # calls that a crash alone brings about


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _chain(text: str) -> tuple[tuple[str, str], ...]:
    """Give every pair of "a < b c < d": a before b and c, both before d."""
    ranks = [rank.split() for rank in text.split("<")]
    return tuple(chain.from_iterable(product(before, after) for before, after in combinations(ranks, 2)))


CANONICAL: tuple[Canonical, ...] = (
    Canonical(
        "linear done",
        "sweep_linear",
        {"fails": False},
        "completed",
        inside=_words("reserve:do"),
        outside=_words("charge:do ship:do"),
        order=_chain("reserve:do < charge:do < ship:do"),
    ),
    Canonical(
        "linear undone",
        "sweep_linear",
        {"fails": True},
        "compensated",
        inside=_words("reserve:do reserve:undo"),
        outside=_words("charge:do charge:undo"),
        order=_chain("reserve:do < charge:do < ship:do < ship:undo < charge:undo < reserve:undo"),
        silent=_words("ship:do"),
        # Whoever takes over from a lost process cannot know that the shipment had been refused.
        doubts=_words("ship:undo"),
    ),
    Canonical(
        "composed undone",
        "sweep_composed",
        {"fails": True},
        "compensated",
        inside=_words("left:do left:undo"),
        outside=_words("begin:do right:do begin:undo right:undo"),
        order=(
            *_chain("begin:do < left:do < join:do < left:undo < begin:undo"),
            *_chain("begin:do < right:do < join:do < right:undo < begin:undo"),
        ),
        silent=_words("join:do"),
    ),
    Canonical(
        "graph undone",
        "sweep_graph",
        {"fails": True},
        "compensated",
        inside=_words("left:do left:undo"),
        outside=_words("begin:do look:do right:do begin:undo right:undo"),
        order=(
            *_chain("begin:do < left:do < join:do < left:undo < begin:undo"),
            *_chain("begin:do < look:do < right:do < join:do < right:undo < begin:undo"),
        ),
        silent=_words("join:do"),
    ),
    Canonical(
        "other branch waited for",
        "sweep_wait",
        {},
        "compensated",
        inside=_words("second:do second:undo"),
        outside=_words("begin:do first:do first:undo begin:undo"),
        order=(
            *_chain("begin:do < first:do < second:do < second:undo < first:undo < begin:undo"),
            *_chain("begin:do < refuse:do < second:undo"),
        ),
        silent=_words("refuse:do"),
    ),
    Canonical(
        "outcome unknown",
        "sweep_unknown",
        {},
        "compensated",
        inside=_words("reserve:do reserve:undo"),
        outside=_words("charge:do charge:undo"),
        order=_chain("reserve:do < charge:do < charge:undo < reserve:undo"),
    ),
    Canonical(
        "outcome probed",
        "sweep_probe",
        {},
        "completed",
        inside=_words("reserve:do"),
        outside=_words("charge:do ship:do"),
        order=_chain("reserve:do < charge:do < ship:do"),
    ),
    Canonical(
        "conditions undone",
        "sweep_condition",
        {"fails": True},
        "compensated",
        inside=_words("reserve:do pack:do pack:undo reserve:undo"),
        outside=_words("charge:do charge:undo"),
        order=_chain("reserve:do < charge:do < pack:do < ship:do < pack:undo < charge:undo < reserve:undo"),
        silent=_words("ship:do"),
    ),
    Canonical(
        "past the pivot",
        "sweep_pivot",
        {},
        "completed",
        inside=_words("reserve:do close:do"),
        outside=_words("pay:do post:do"),
        order=(
            *_chain("reserve:do < pay:do < post:do < close:do"),
            *_chain("pay:do < thank:do < close:do"),
        ),
        silent=_words("thank:do"),
    ),
)
CANONICAL = (*CANONICAL, replace(CANONICAL[1], title="limited undone", saga="sweep_limited"))


def check(canonical: Canonical, keys: Iterable[str], ledger: Ledger) -> None:
    """Check the sagas of ``canonical`` that were started with ``keys``, and the invariants of all there are.

    Raises ``AssertionError`` that names each violation with its key, which names the point.
    """
    rows = {row.idempotency_key: row for row in SagaInstance.objects.filter(name=canonical.saga)}
    inside = _by_saga(effects())
    lines: dict[str, list[Line]] = defaultdict(list)
    for line in ledger.lines():
        lines[line.key.partition(":")[0]].append(line)
    wrong = []
    for key in keys:
        row = rows.pop(key, None)
        if row is None:
            wrong.append(f"{key}: there is no saga")
            continue
        saga_id = str(row.pk)
        if row.status != canonical.status:
            wrong.append(f"{key}: saga {saga_id} is {row.status}, not {canonical.status}")
        wrong += [f"{key}: {problem}" for problem in _problems(canonical, inside[saga_id], lines[saga_id])]
    wrong += [f"a saga nobody asked for: {key}" for key in rows]
    assert not wrong, "\n".join(wrong)
    assert_saga_invariants()


def _by_saga(counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for key, times in counts.items():
        saga_id, _, what = key.partition(":")
        found[saga_id][what] = times
    return found


def _problems(canonical: Canonical, inside: dict[str, int], lines: list[Line]) -> list[str]:
    found = []
    if inside != dict.fromkeys(canonical.inside, 1):
        found.append(f"effects in the database {inside}, wanted each of {sorted(canonical.inside)} once")
    called = Counter(line.step for line in lines if line.kind == "call")
    if called.keys() - canonical.doubts != canonical.outside:
        found.append(f"effects outside {dict(called)}, wanted each of {sorted(canonical.outside)}")
    ran: dict[str, list[int]] = defaultdict(list)
    for at, line in enumerate(lines):
        if line.kind == "ran":
            ran[line.step].append(at)
    wanted = canonical.inside | canonical.outside | canonical.silent
    if ran.keys() - canonical.doubts != wanted:
        found.append(f"functions {sorted(ran)} ran, wanted {sorted(wanted)}")
    for before, after in canonical.order:
        if before in ran and after in ran and ran[before][-1] > ran[after][0]:
            found.append(f"{after} began before {before} had ended")
    return found
