"""Signals sent after commit, robustly: no receiver can break or delay a saga's record.

``saga_finished`` (saga_id, name, status, reason, culprit): a saga reached an end, or is stuck. ``culprit`` is
the step it turned back at, if any.
``step_recorded`` (outcome): this process recorded the end of an attempt.
``worker_event`` (worker, event, and facts of the event): ``started``, ``draining``, ``stopped``,
``trouble`` (error), ``recovered`` (the database answers again), ``late_result``, ``retired``;
``hook_failed`` (task, error; worker is None): what an atomic step had registered by
``transaction.on_commit`` failed, after the commit.
"""

from __future__ import annotations

from django.dispatch import Signal

saga_finished = Signal()
step_recorded = Signal()
worker_event = Signal()
