"""Checks what a broker was given against what was committed, as Jepsen's checker for Kafka does.

Nothing is lost, nothing is there that was never committed, and each message comes the first time in the order
of its stream. It may come again and again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from django_saga.core.messages import Message


class Findings(NamedTuple):
    """What is wrong, by (stream, number)."""

    lost: list[tuple[str, int]]
    ghosts: list[tuple[str, int]]
    reordered: list[tuple[str, int]]
    changed: list[tuple[str, int]]


NOTHING = Findings([], [], [], [])


def check(committed: dict[tuple[str, int], str], log: Iterable[Message]) -> Findings:
    """Compare the ids that were committed, by stream and number, with a broker's log, oldest first."""
    first: dict[str, list[int]] = defaultdict(list)
    seen: dict[tuple[str, int], str] = {}
    changed = []
    for message in log:
        place = (message.stream or "", message.number)
        if place not in seen:
            seen[place] = message.id
            first[place[0]].append(message.number)
        elif seen[place] != message.id:
            changed.append(place)
    return Findings(
        lost=sorted(committed.keys() - seen.keys()),
        ghosts=sorted(seen.keys() - committed.keys()),
        reordered=[(stream, n) for stream, numbers in first.items() for n in _out_of_order(numbers)],
        changed=changed + [place for place in seen if committed.get(place, seen[place]) != seen[place]],
    )


def _out_of_order(numbers: list[int]) -> list[int]:
    highest, found = 0, []
    for number in numbers:
        if number < highest:
            found.append(number)
        highest = max(highest, number)
    return found
