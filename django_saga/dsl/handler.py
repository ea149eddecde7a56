"""Handlers: functions that do their work once for every message that comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from django_saga.core.flows import FLOW_FAILED
from django_saga.core.names import name_problem
from django_saga.core.retry import Retry
from django_saga.dsl.scalars import UnsupportedType
from django_saga.dsl.schema import Schema, schema_for
from django_saga.dsl.signature import takes

HandlerFunction = Callable[[Any], Any]
# Takes the message whose effects it undoes, and what the handler had returned.
Compensation = Callable[[Any, Any], Any]
_F = TypeVar("_F", bound=HandlerFunction)
# A consumer is named after its app: where in it the function stands may change.
_MODULES = (".sagas", ".handlers")


@dataclass(frozen=True)
class Handler:
    """What a consumer does with messages of a topic."""

    consumer: str
    topic: str
    function: HandlerFunction
    input: Any = None
    retry: Retry | None = None
    answers: bool = False  # tells its sender also of a payload that does not fit
    compensation: Compensation | None = None
    path: str = field(init=False)

    def __post_init__(self) -> None:
        function = self.function
        object.__setattr__(self, "path", f"{function.__module__}.{function.__qualname__}")

    @property
    def is_async(self) -> bool:
        """True for ``async def``."""
        return iscoroutinefunction(self.function)

    @cached_property
    def schema(self) -> Schema | None:
        """What the payload has to fit."""
        return schema_for(self.input)


class Handlers:
    """All handlers of this process, by consumer and topic."""

    def __init__(self) -> None:
        self._handlers: dict[tuple[str, str], Handler] = {}
        self._rivals: list[tuple[Handler, Handler]] = []
        self._lock = threading.Lock()

    def register(self, handler: Handler) -> None:
        """Add ``handler``. The same function again (a reloaded module) takes the place of the old one."""
        key = (handler.consumer, handler.topic)
        with self._lock:
            first = self._handlers.get(key)
            if first is None or first.path == handler.path:
                self._handlers[key] = handler
            else:
                self._rivals.append((first, handler))

    def get(self, consumer: str, topic: str) -> Handler | None:
        """Give the handler of a consumer for a topic, if there is one."""
        return self._handlers.get((consumer, topic))

    def all(self) -> list[Handler]:
        """Give all handlers, ordered by consumer and topic."""
        return [self._handlers[key] for key in sorted(self._handlers)]

    def consumers(self) -> list[str]:
        """Name all consumers."""
        return sorted({consumer for consumer, _ in self._handlers})

    def consumers_of(self, topic: str) -> list[str]:
        """Name the consumers of a topic."""
        known = {handler.consumer for handler in self.all() if handler.topic == topic}
        return sorted(known | self._compensating if topic == FLOW_FAILED else known)

    def topics_of(self, consumer: str) -> list[str]:
        """Name the topics of a consumer; who can undo its part of a flow has to hear that one failed."""
        known = {handler.topic for handler in self.all() if handler.consumer == consumer}
        return sorted(known | {FLOW_FAILED} if self.compensates(consumer) else known)

    def compensates(self, consumer: str) -> bool:
        """True when any handler of a consumer has a compensation."""
        return consumer in self._compensating

    @property
    def _compensating(self) -> set[str]:
        return {handler.consumer for handler in self._handlers.values() if handler.compensation}

    @contextmanager
    def isolated(self, *known: Handler) -> Iterator[None]:
        """Know only ``known``, and what is registered meanwhile, until the block ends: for tests."""
        with self._lock:
            before = self._handlers, self._rivals
            self._handlers, self._rivals = {(each.consumer, each.topic): each for each in known}, []
        try:
            yield
        finally:
            with self._lock:
                self._handlers, self._rivals = before

    @property
    def rivals(self) -> list[tuple[Handler, Handler]]:
        """Handlers that want the same topic for the same consumer: the one that counts, and the other."""
        return list(self._rivals)


handlers = Handlers()


def handler(
    topic: str,
    *,
    consumer: str | None = None,
    input: Any = None,
    retry: Retry | None = None,
    compensation: Compensation | None = None,
) -> Callable[[_F], _F]:
    """Have the decorated function do its work for every message of ``topic``, once for each ``consumer``.

    The function takes the message. Its writes, and the mark that it is done, are one transaction. What it
    raises undoes them, and it is tried again by ``retry`` (by default with the setting
    ``MESSAGE_ATTEMPTS``); ``PermanentFailure`` says that this is of no use, ``RetryLater`` when it is.
    ``input`` is a dataclass, a pydantic model or a serializer class that payloads have to fit.
    ``consumer`` names who this is, for ever: under another name all that comes is new. By default it is made
    of the app's and the function's names. One consumer may have handlers for several topics. The function
    stays a plain function.

    ``compensation(message, result)`` undoes what the function did for ``message`` and returned (JSON-able),
    once, when a handler anywhere in the message's flow raises ``FlowFailed``. Messages of that flow that come
    to the consumer later are refused.
    """
    check_options("handler", topic, input, retry)
    if compensation is not None and (not callable(compensation) or not takes(compensation, 2)):
        raise TypeError(
            f"@handler({topic!r}): compensation has to be a function of two values, the message and what its "
            f"handler had returned, not {compensation!r:.80}."
        )

    def decorate(function: _F) -> _F:
        check_function("handler", topic, function)
        name = consumer_of(consumer, function)
        handlers.register(Handler(name, topic, function, input, retry, compensation=compensation))
        return function

    return decorate


def check_options(word: str, topic: str, input: Any, retry: Retry | None) -> None:
    """Refuse what ``@<word>(topic, input=..., retry=...)`` cannot be. Raises ``TypeError``."""
    if problem := name_problem(topic, "a topic" if word == "handler" else "a command"):
        raise TypeError(f"@{word}: {problem}.")
    if retry is not None and not isinstance(retry, Retry):
        raise TypeError(f"@{word}({topic!r}): retry has to be a Retry, not {retry!r}.")
    try:
        schema_for(input)
    except UnsupportedType as error:
        raise TypeError(f"@{word}({topic!r}): input: {error}.") from None


def check_function(word: str, topic: str, function: Any) -> None:
    """Refuse what cannot be decorated. Raises ``TypeError``."""
    what = "message" if word == "handler" else "command"
    if not callable(function) or not takes(function, 1):
        raise TypeError(f"@{word}({topic!r}): decorate a function of one value, the {what}.")


def consumer_of(given: str | None, function: HandlerFunction) -> str:
    """Give the name of a consumer: the one that was given, else one made of the function's."""
    module = function.__module__
    for ending in _MODULES:
        module = module.removesuffix(ending)
    name = given or f"{module}.{function.__qualname__}".replace(".<locals>", "")
    if problem := name_problem(name, "the name of a consumer"):
        raise TypeError(f"consumer={name!r}: {problem}.")
    return name
