"""Participants: functions that carry out commands of sagas elsewhere, once for each, and answer.

A command, what undoes it, and copies of either may come in any order. All of them meet in the row of the
command's idempotency key (``engine.guard``): done once, undone once, and never after it was undone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Self, TypeVar
from uuid import UUID

from asgiref.sync import async_to_sync
from django.db import transaction

from django_saga.core.commands import IDEMPOTENCY_KEY, REPLIES, REPLY_TO, REPLY_TOKEN, Answer, Reply
from django_saga.core.names import name_problem
from django_saga.core.retry import Retry
from django_saga.dsl.handler import Handler, check_function, check_options, consumer_of, handlers
from django_saga.engine import failures
from django_saga.engine.guard import do_once, undo_once
from django_saga.exceptions import EncodingError, InvalidMessage, PermanentFailure
from django_saga.messaging.received import Received

_F = TypeVar("_F", bound=Callable[[Any], Any])


class Command(Received):
    """A command that came, or one that has another one undone; ``result``: what that one had returned."""

    result: Any = None

    @classmethod
    def of(cls, received: Received) -> Self:
        """Give the command in a message. Raises ``PermanentFailure`` for a message that is none."""
        headers = received.headers
        for name in (IDEMPOTENCY_KEY, REPLY_TO, REPLY_TOKEN):
            if not headers.get(name):
                raise PermanentFailure(f"it is no command: the header {name} is missing")
        if problem := name_problem(headers[REPLY_TO], "the topic of a reply"):
            raise PermanentFailure(f"it cannot be answered: {problem}")
        if not headers[REPLY_TO].endswith(REPLIES):
            raise PermanentFailure(f"it cannot be answered: {headers[REPLY_TO]} does not end in {REPLIES}")
        made = cls(
            received._message,
            received._handler,
            attempt=received.attempt,
            using=received.using,
            known_as=received._known_as,
            undoes=received._undoes,
        )
        saga_id, _, phase = made._parts
        try:
            UUID(saga_id)
        except ValueError:
            phase = ""
        if phase not in ("do", "undo"):
            raise PermanentFailure(
                f"it is no command: {made.idempotency_key!a:.80} is no key as <saga id>:<step>:do or :undo"
            )
        return made

    @property
    def _parts(self) -> tuple[str, str, str]:
        saga_id, _, rest = self.idempotency_key.partition(":")
        step, _, phase = rest.rpartition(":")
        return saga_id, step, phase

    @property
    def idempotency_key(self) -> str:
        """The same however often the command is sent: ``<saga id>:<step>:do`` or ``:undo``."""
        return self.headers[IDEMPOTENCY_KEY]

    @property
    def saga_id(self) -> UUID:
        """The saga that sent it."""
        return UUID(self._parts[0])

    @property
    def step(self) -> str:
        """The name of the step that sent it."""
        return self._parts[1]

    @property
    def undoes(self) -> bool:
        """True for one that has another one undone."""
        return self._parts[2] == "undo"

    def answer(self, reply: Reply) -> None:
        """Publish the reply, in the transaction of the handler."""
        headers = self.headers
        token = {REPLY_TOKEN: headers[REPLY_TOKEN]}
        self.publish(headers[REPLY_TO], reply.to_data(), key=self.key, headers=token)


def participant(
    command: str, *, consumer: str | None = None, input: Any = None, retry: Retry | None = None
) -> Callable[[_F], _F]:
    """Have the decorated function carry out ``command``, which ``remote()`` steps send, and answer.

    The function takes the command; what it returns is the result of the step. What it writes, the note that
    it did and the answer are one transaction. ``PermanentFailure`` is answered too: the command failed, and
    what it wrote is undone. Any other error has it tried again, as for ``@handler``, which says what
    ``consumer``, ``input`` and ``retry`` are. A command that undoes another one, a step's ``compensation=``,
    has a function of its own, which is called only if there is something to undo. Raises ``TypeError``.
    """
    check_options("participant", command, input, retry)

    def decorate(function: _F) -> _F:
        check_function("participant", command, function)

        @wraps(function)
        def carry_out(received: Received) -> None:
            _carry_out(function, Command.of(received))

        name = consumer_of(consumer, function)
        handlers.register(Handler(name, command, carry_out, input, retry, answers=True))
        return function

    return decorate


def _carry_out(function: Callable[[Any], Any], command: Command) -> None:
    try:
        with transaction.atomic(using=command.using):
            command.answer(Reply(Answer.SUCCEEDED, _result(function, command)))
    except (PermanentFailure, EncodingError, InvalidMessage) as error:
        said = failures.clean(str(error) or type(error).__name__)
        command.answer(Reply(Answer.FAILED, error=said))


def _result(function: Callable[[Any], Any], command: Command) -> Any:
    call = async_to_sync(function) if iscoroutinefunction(function) else function
    _ = command.payload  # what does not fit is refused before anything is done

    def undo(result: Any) -> None:
        command.result = result
        call(command)

    if command.undoes:
        undo_once(command.idempotency_key, undo, using=command.using)
        return None
    # The block around this is rolled back to its own savepoint.
    return do_once(command.idempotency_key, lambda: call(command), using=command.using, savepoint=False)
