"""Signals: one for each transition of a saga or a step, sent after commit. No receiver can break a saga.

The signals in ``TRANSITIONS`` have the saga's class as sender. Those of sagas bring ``saga_id``, ``name``,
``version``, ``using``, ``before``, ``status``, ``reason`` and ``culprit``; those of steps the first four,
``step``, ``undo``, ``attempt``, ``outcome``, ``status``, ``error_class``, ``error`` and ``due_at``.
``circuit_opened`` (``open_until``) and ``circuit_closed`` (``by``) have the saga's class as sender too, and
``name``, ``step`` and ``using``.
``worker_event`` (worker, event, and facts of the event): ``started``, ``draining``, ``stopped``,
``trouble`` (error), ``recovered`` (the database answers again), ``late_result``, ``retired``;
``hook_failed`` (task, error; worker is None): what an atomic step had registered by
``transaction.on_commit`` failed, after the commit.
``message_event`` (event, and facts of it): ``broker_away`` (broker, error, wait in seconds), ``broker_back``
(broker), ``message_refused`` (message, error, due_at), ``message_failed`` and ``message_dead`` (consumer,
message, error, due_at), ``flow_failed`` (consumer, message, error), ``abandoned`` (consumer, number: so many
messages wait for what no code has), ``left`` (consumer, topics: only other code handles them),
``hook_failed`` (consumer, error: what a handler had registered by ``transaction.on_commit``), ``reply_late``
(message, step),
``trouble`` (duty, error, expected), ``retired`` (a handler hangs), ``started`` (parts: what it does, in
words).
"""

from __future__ import annotations

from django.dispatch import Signal


class TransitionSignal(Signal):
    """Sent robustly; whoever sends it logs what a receiver raises, with the saga it was about."""

    def __init__(self, name: str) -> None:
        super().__init__(use_caching=True)  # the senders are classes, and few
        self.name = name

    def __repr__(self) -> str:
        return f"<signal {self.name}>"

    def _log_robust_failure(self, receiver: object, err: Exception) -> None:
        return None


saga_started = TransitionSignal("saga_started")
saga_turned_back = TransitionSignal("saga_turned_back")
saga_finished = TransitionSignal("saga_finished")  # at rest: completed, compensated, stuck or superseded
saga_resumed = TransitionSignal("saga_resumed")  # stuck no more

step_started = TransitionSignal("step_started")  # an attempt begins
step_succeeded = TransitionSignal("step_succeeded")
step_retried = TransitionSignal("step_retried")  # another attempt is due, at ``due_at``
step_waiting = TransitionSignal("step_waiting")  # for something, or until ``due_at``
step_failed = TransitionSignal("step_failed")  # no further attempt
step_skipped = TransitionSignal("step_skipped")
step_undone = TransitionSignal("step_undone")
step_undo_failed = TransitionSignal("step_undo_failed")  # the compensation is dead

TRANSITIONS = {
    signal.name: signal
    for signal in (
        saga_started,
        saga_turned_back,
        saga_finished,
        saga_resumed,
        step_started,
        step_succeeded,
        step_retried,
        step_waiting,
        step_failed,
        step_skipped,
        step_undone,
        step_undo_failed,
    )
}

# Of the circuit of one step in all sagas of a name: no saga, so no transition.
circuit_opened = TransitionSignal("circuit_opened")
circuit_closed = TransitionSignal("circuit_closed")

worker_event = Signal()
message_event = Signal()
