"""Plays every order in which the statements of two or three actors can follow each other.

Stateless search: a schedule is played from the start, and the choices that it passed by give the next ones. A
switch away from an actor that could go on is a preemption. Where all orders would be too many, the number of
preemptions is limited: what goes wrong goes wrong with few (Musuvathi and Qadeer, "Iterative context
bounding", 2007).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import connection

from tests.interleaving.actors import Actor

Job = Callable[[], Any]
Answers = list[Any]


class Choice(NamedTuple):
    """One decision: who could go on, who had just gone, and who was sent."""

    able: tuple[int, ...]
    last: int | None
    sent: int

    @property
    def preempts(self) -> bool:
        """True when somebody was stopped who could have gone on."""
        return self.last in self.able and self.sent != self.last


@dataclass
class Stage:
    """The actors, and the schedules that were played."""

    actors: Sequence[Actor]
    played: list[str] = field(default_factory=list)

    def every_schedule(self, preemptions: float = math.inf) -> Iterator[Callable[..., Answers]]:
        """Give a function for each schedule that plays jobs in its order; it has to be called once."""
        ahead: list[tuple[int, ...]] = [()]
        while ahead:
            prefix = ahead.pop()
            trace: list[Choice] = []

            def play(*jobs: Job, prefix: tuple[int, ...] = prefix, trace: list[Choice] = trace) -> Answers:
                return self._play(jobs, prefix, trace)

            yield play
            assert trace, "the schedule was not played"
            self.played.append("".join("ABC"[choice.sent] for choice in trace))
            ahead += _passed_by(trace, len(prefix), preemptions)

    def _play(self, jobs: Sequence[Job], prefix: Sequence[int], trace: list[Choice]) -> Answers:
        actors = self.actors[: len(jobs)]
        for actor, job in zip(actors, jobs, strict=True):
            actor.take_on(job)
        blocked: set[int] = set()
        last: int | None = None
        while True:
            able = tuple(n for n, actor in enumerate(actors) if n not in blocked and not actor.is_done)
            if not able:
                assert not blocked, f"a deadlock, after {''.join('ABC'[c.sent] for c in trace)}"
                return [actor.answer for actor in actors]
            if len(trace) < len(prefix) and prefix[len(trace)] in able:
                sent = prefix[len(trace)]
            else:
                sent = last if last in able else able[0]
            trace.append(Choice(able, last, sent))
            last = sent
            actors[sent].go()
            if not actors[sent].has_stopped(self._waits_for_another):
                blocked.add(sent)
            blocked = {n for n in blocked if not self._came_through(actors[n])}

    def _came_through(self, actor: Actor) -> bool:
        """Whether an actor that was blocked got its lock; then wait until it has stopped, or is blocked
        again.
        """
        waits = self._waits_for_another
        return not waits(actor.session) and actor.has_stopped(waits)

    def _waits_for_another(self, session: int) -> bool:
        """Whether an actor waits for a lock of another; those of others, as of a vacuum, go by themselves."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_blocking_pids(%s) && %s::integer[]",
                [session, [actor.session for actor in self.actors]],
            )
            return bool(cursor.fetchone()[0])


def _passed_by(trace: Sequence[Choice], since: int, preemptions: float) -> Iterator[tuple[int, ...]]:
    """Give the beginnings of the schedules that ``trace`` passed by after its prefix."""
    spent = 0
    for at, choice in enumerate(trace):
        if at >= since:
            for other in choice.able:
                more = choice._replace(sent=other).preempts
                if other != choice.sent and spent + more <= preemptions:
                    yield (*(passed.sent for passed in trace[:at]), other)
        spent += choice.preempts
