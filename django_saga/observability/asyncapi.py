"""What this project takes and sends by messages, as an AsyncAPI 3 document: https://www.asyncapi.com

It is made of what is registered: handlers, participants, and the commands of remote steps. What ``publish``
sends is declared nowhere; it appears where a handler of this project takes it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django_saga.conf import get_settings
from django_saga.core.commands import IDEMPOTENCY_KEY, REPLY_TO, REPLY_TOKEN, Answer, reply_topic
from django_saga.core.envelope import CONTENT_TYPE, JSON
from django_saga.core.flows import FLOW_FAILED, FlowFailure
from django_saga.core.messages import CORRELATION
from django_saga.core.waits import WaitDefinition
from django_saga.core.wire import Format
from django_saga.dsl.handler import Handler, handlers
from django_saga.dsl.json_schema import JsonSchemas
from django_saga.dsl.registry import registry
from django_saga.engine.publishing import broker_of

_SCHEMAS = "#/components/schemas/"
_TEXT = {"type": "string"}


def document(title: str, version: str) -> dict[str, Any]:
    """Give the document, as data for JSON."""
    made = _Document()
    for handler in handlers.all():
        made.receive(handler)
    for consumer in filter(handlers.compensates, handlers.consumers()):
        made.hear(consumer)
    for saga, step, wait in _remote_steps():
        made.send(saga, step, wait)
    return {
        "asyncapi": "3.0.0",
        "id": get_settings().sender,
        "info": {"title": title, "version": version},
        "defaultContentType": CONTENT_TYPE,
        "servers": dict(_servers()),
        "channels": made.channels,
        "operations": made.operations,
        "components": {"messages": made.messages, "schemas": made.schemas.named},
    }


class _Document:
    def __init__(self) -> None:
        self.schemas = JsonSchemas(_SCHEMAS, _COMMON)
        self.channels: dict[str, Any] = {}
        self.messages: dict[str, Any] = {}
        self.operations: dict[str, Any] = {}
        self._replies = reply_topic(get_settings().sender)

    def receive(self, handler: Handler) -> None:
        """Add what a handler or a participant takes."""
        own = {self._replies: "Reply", FLOW_FAILED: "FlowFailure"}.get(handler.topic)
        data = {"$ref": f"{_SCHEMAS}{own}"} if own else self.schemas.of(handler.input)
        headers = [IDEMPOTENCY_KEY, REPLY_TO, REPLY_TOKEN] if handler.answers else []
        self._channel(handler.topic, data, headers)
        operation = self._operation("receive", handler.topic)
        if told := inspect.getdoc(handler.function):
            operation["summary"] = told.partition("\n")[0]
        if handler.answers:
            operation["reply"] = {"address": {"location": _place(handler.topic, REPLY_TO)}}
        self.operations[f"{handler.consumer}.receive.{handler.topic}"] = operation

    def hear(self, consumer: str) -> None:
        """Add that a consumer hears of flows that failed, and undoes its part."""
        self._channel(FLOW_FAILED, {"$ref": f"{_SCHEMAS}FlowFailure"}, [CORRELATION])
        operation = self._operation("receive", FLOW_FAILED)
        operation["summary"] = f"Have {consumer} undo what it did in a flow that failed."
        self.operations[f"{consumer}.receive.{FLOW_FAILED}"] = operation

    def send(self, saga: str, step: str, wait: WaitDefinition) -> None:
        """Add the commands of a remote step."""
        for command in filter(None, (wait.name, wait.compensation)):
            self._channel(command, {}, [IDEMPOTENCY_KEY, REPLY_TO, REPLY_TOKEN])
            operation = self._operation("send", command)
            operation["summary"] = f"Step {step} of saga {saga}" + " is undone." * (command != wait.name)
            operation["reply"] = {"channel": {"$ref": f"#/channels/{self._replies}"}}
            self.operations[f"{saga}.{step}.send.{command}"] = operation

    def _operation(self, action: str, topic: str) -> dict[str, Any]:
        return {"action": action, "channel": {"$ref": f"#/channels/{topic}"}}

    def _channel(self, topic: str, data: Any, headers: list[str]) -> None:
        if topic in self.messages and not data:
            return  # what is known of it says more
        self.messages[topic] = {"name": topic, **_message(topic, data, headers)}
        self.channels[topic] = {
            "address": topic,
            "messages": {topic: {"$ref": f"#/components/messages/{topic}"}},
            "servers": [{"$ref": f"#/servers/{broker_of(topic)}"}],
        }


def _message(topic: str, data: Any, headers: list[str]) -> dict[str, Any]:
    """Say what a message looks like in the format of its broker."""
    form, prefix = _format_of(topic)
    if form is Format.STRUCTURED:
        event = {
            "type": "object",
            "properties": {"type": {"const": topic}, "data": data, **dict.fromkeys(headers, _TEXT)},
            "required": ["type", "data", *headers],
        }
        return {"contentType": CONTENT_TYPE, "payload": {"allOf": [{"$ref": f"{_SCHEMAS}CloudEvent"}, event]}}
    known = _COMMON["CloudEvent"]["required"] if form is Format.BINARY else ["id", "source"]
    names = [f"{prefix}{name}" for name in [*known, *headers]]
    given = {"type": "object", "properties": dict.fromkeys(names, _TEXT), "required": names}
    return {"contentType": JSON, "headers": given, "payload": data}


def _place(topic: str, header: str) -> str:
    """Say where in a message of ``topic`` a header is."""
    form, prefix = _format_of(topic)
    if form is Format.STRUCTURED:
        return f"$message.payload#/{header}"
    return f"$message.header#/{prefix}{header}"


def _format_of(topic: str) -> tuple[Format, str]:
    """Give the format of messages of ``topic``, and what stands before the names of their headers."""
    url = urlsplit(get_settings().brokers.get(broker_of(topic), ""))
    form = Format(dict(parse_qsl(url.query)).get("format", Format.STRUCTURED))
    if form is not Format.BINARY:
        return form, ""
    return form, "cloudEvents_" if url.scheme.startswith("amqp") else "ce_"


def _remote_steps() -> Iterator[tuple[str, str, WaitDefinition]]:
    for program in registry.all():
        for step in program.definition.steps:
            if step.wait is not None and step.wait.sends_commands:
                yield program.definition.name, step.name, step.wait


def _servers() -> Iterator[tuple[str, dict[str, str]]]:
    for name, url in get_settings().brokers.items():
        parts = urlsplit(url)
        # Not the URL: it may hold a password.
        yield name, {"host": parts.netloc.rpartition("@")[2] or "this project", "protocol": parts.scheme}


_COMMON: dict[str, Any] = {
    "CloudEvent": {
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": _TEXT,
            "source": _TEXT,
            "type": _TEXT,
            "subject": _TEXT,
            "time": {"type": "string", "format": "date-time"},
            "correlationid": _TEXT,
            "causationid": _TEXT,
        },
        "required": ["specversion", "id", "source", "type"],
    },
    "FlowFailure": {
        "type": "object",
        "properties": dict.fromkeys(FlowFailure._fields, _TEXT),
        "required": ["error"],
    },
    "Reply": {
        "type": "object",
        "properties": {"status": {"enum": [each.value for each in Answer]}, "result": {}, "error": _TEXT},
        "required": ["status"],
    },
}
