"""What this project takes and sends by messages, as an AsyncAPI 3 document: https://www.asyncapi.com

It is made of what is registered: handlers, participants, and the commands of remote steps. What ``publish``
sends is declared nowhere; it appears where a handler of this project takes it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django_saga.conf import get_settings
from django_saga.core.commands import IDEMPOTENCY_KEY, REPLY_TO, REPLY_TOKEN, Answer, reply_topic
from django_saga.core.envelope import CONTENT_TYPE
from django_saga.core.waits import WaitDefinition
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
        data = {"$ref": f"{_SCHEMAS}Reply"} if handler.topic == self._replies else None
        headers = [IDEMPOTENCY_KEY, REPLY_TO, REPLY_TOKEN] if handler.answers else []
        self._channel(handler.topic, data or self.schemas.of(handler.input), headers)
        operation = self._operation("receive", handler.topic)
        if told := inspect.getdoc(handler.function):
            operation["summary"] = told.partition("\n")[0]
        if handler.answers:
            operation["reply"] = {"address": {"location": f"$message.payload#/{REPLY_TO}"}}
        self.operations[f"{handler.consumer}.receive.{handler.topic}"] = operation

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
        event = {
            "type": "object",
            "properties": {"type": {"const": topic}, "data": data, **dict.fromkeys(headers, _TEXT)},
            "required": ["type", "data", *headers],
        }
        self.messages[topic] = {
            "name": topic,
            "contentType": CONTENT_TYPE,
            "payload": {"allOf": [{"$ref": f"{_SCHEMAS}CloudEvent"}, event]},
        }
        self.channels[topic] = {
            "address": topic,
            "messages": {topic: {"$ref": f"#/components/messages/{topic}"}},
            "servers": [{"$ref": f"#/servers/{broker_of(topic)}"}],
        }


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
    "Reply": {
        "type": "object",
        "properties": {"status": {"enum": [each.value for each in Answer]}, "result": {}, "error": _TEXT},
        "required": ["status"],
    },
}
