"""What the world outside says in a test: each step that waits for it gets its answer as soon as it waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django_saga.conf import get_settings
from django_saga.core.commands import Answer, Reply
from django_saga.core.states import StepStatus
from django_saga.core.waits import WaitKind
from django_saga.dsl import payloads
from django_saga.dsl.forms import filled_in
from django_saga.dsl.program import Program
from django_saga.engine.graphs import program_of
from django_saga.exceptions import PermanentFailure
from django_saga.models import SagaStep
from django_saga.store import approvals, clock, external

ANSWERED_BY = "the test"


def give(using: str, programs: Mapping[int, Program], answers: Mapping[str, Any]) -> None:
    """Give ``answers``, by the name of the step, to those steps that wait and had none yet."""
    waiting = SagaStep.objects.using(using).filter(
        status__in=(StepStatus.WAITING, StepStatus.UNDO_SCHEDULED),
        name__in=list(answers),
        definition_id__in=list(programs),
    )
    for row in waiting.exclude(approvals__pending=True):
        program = program_of(using, programs[row.definition_id], row.saga_id)
        _answer(using, program, row, answers[row.name])


def _answer(using: str, program: Program, row: SagaStep, answer: Any) -> None:
    wait, now = program.definition[row.name].wait, clock.now(using)
    if wait is not None and wait.sends_commands:
        if row.waits_for and not external.there(using, [row.waits_for]):
            external.write(using, _reply(row, answer))
    elif row.status == StepStatus.UNDO_SCHEDULED:
        return
    elif wait is not None and wait.kind is WaitKind.APPROVAL:
        text = filled_in(program.do(row.name)(None), answer, f"The answer for step {row.name}")
        approvals.decide(using, row.pk, approved=True, actor=ANSWERED_BY, why="", data=text, at=now)
    elif wait is not None and wait.kind is WaitKind.EVENT and not external.there(using, [row.waits_for]):
        text = payloads.encode(answer, "answer", get_settings().max_result_bytes, "MAX_RESULT_BYTES")
        key = row.waits_for.split(":", 2)[2]
        external.write(using, external.NewEvent(wait.name, key, row.waits_for, None, text))


def _reply(row: SagaStep, answer: Any) -> external.NewEvent:
    """Give the reply to what a step asks another service for; that undoes whatever it is asked to."""
    reply = Reply(Answer.SUCCEEDED, answer)
    if row.status == StepStatus.UNDO_SCHEDULED:
        reply = Reply(Answer.SUCCEEDED)
    elif isinstance(answer, PermanentFailure):
        reply = Reply(Answer.FAILED, error=str(answer))
    text = payloads.encode(reply.to_data(), "answer", get_settings().max_message_bytes, "MAX_MESSAGE_BYTES")
    return external.NewEvent("reply", str(row.pk), row.waits_for, None, text)
