"""The HTTP side of a fake service: reads a call, lets the fault plan interfere, and answers."""

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias

from example_project.services.faults import Fault, FaultPlan
from example_project.services.ledger import Answer, Book, Ledger, Request

MAX_BODY_BYTES = 64 * 1024

Work: TypeAlias = Callable[[Request, Book], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What a fake service offers: its name and the work done for each path that takes a POST."""

    name: str
    work: Mapping[str, Work]


class BadCall(Exception):
    """The call cannot be understood; it is answered with ``status`` and has no effect."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Server(ThreadingHTTPServer):
    """A service on a port, with its ledger and its fault plan."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, service: Service, ledger: Ledger, faults: FaultPlan) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.service = service
        self.ledger = ledger
        self.faults = faults

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 30
    disable_nagle_algorithm = True  # else the body waits for the headers to be acknowledged

    def do_GET(self) -> None:
        if self.path == "/health":
            self._send(Answer(200, {"service": self.server.service.name, "healthy": True}))
        elif self.path == "/ledger":
            self._send(Answer(200, {"service": self.server.service.name, **self.server.ledger.report()}))
        else:
            self._send(Answer(404, {"error": f"There is nothing at {self.path}."}))

    def do_POST(self) -> None:
        try:
            request = self._read_request()
        except BadCall as problem:
            # What is left of the body would be read as the next request.
            self.close_connection = True
            self._send(Answer(problem.status, {"error": str(problem)}))
            return
        call, nth = self.server.ledger.note_call(request)
        fault = self.server.faults.choose(request.action, request.reference, nth)
        if fault is not Fault.NONE:
            self.server.ledger.note_fault(call, fault)
        self._answer(request, fault)

    def _answer(self, request: Request, fault: Fault) -> None:
        if fault is Fault.UNAVAILABLE:
            self._send(Answer(503, {"error": "The service is not available just now."}))
            return
        delay = self.server.faults.delay.total_seconds()
        if fault is Fault.SLOW_BEFORE:
            time.sleep(delay)
        answer = self._work(request)
        if fault is Fault.SLOW_AFTER:
            time.sleep(delay)
        if fault is Fault.DROPPED:
            self.close_connection = True
            return
        self._send(answer)

    def _work(self, request: Request) -> Answer:
        work = self.server.service.work[self.path]
        try:
            return self.server.ledger.answer_once(request, lambda book: work(request, book))
        except BadCall as problem:
            return Answer(problem.status, {"error": str(problem)})

    def _read_request(self) -> Request:
        if self.path not in self.server.service.work:
            raise BadCall(404, f"There is nothing at {self.path}.")
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            raise BadCall(411, "Content-Length is missing.") from None
        if not 0 <= length <= MAX_BODY_BYTES:
            raise BadCall(413, f"The body has {length} bytes; the limit is {MAX_BODY_BYTES}.")
        try:
            body = json.loads(self.rfile.read(length))
        except ValueError:
            raise BadCall(400, "The body is not JSON.") from None
        if not isinstance(body, dict):
            raise BadCall(400, "The body is not a JSON object.")
        key = self.headers.get("Idempotency-Key", "")
        if not key:
            raise BadCall(400, "The header Idempotency-Key is missing.")
        return Request(self.path.strip("/"), text_field(body, "reference"), key, body)

    def _send(self, answer: Answer) -> None:
        content = json.dumps(answer.body).encode()
        try:
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)
        except ConnectionError:
            # The caller stopped waiting; the answer is kept under its key.
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        sys.stdout.write(f"{self.log_date_time_string()} {format % args}\n")


def text_field(body: Mapping[str, Any], name: str) -> str:
    """Return ``body[name]``; refuse the call when it is not a text or is empty."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise BadCall(400, f"The field {name!r} is missing or not a text.")
    return value


def parser(name: str, port: int) -> argparse.ArgumentParser:
    """Return the command line that all services share."""
    options = argparse.ArgumentParser(
        prog=f"python -m example_project.services.{name}", description=f"The fake {name} service."
    )
    options.add_argument("--port", type=int, default=port, help="port on 127.0.0.1 (default %(default)s)")
    options.add_argument(
        "--database", type=Path, default=Path(f"{name}.sqlite3"), help="SQLite file of the ledger"
    )
    options.add_argument("--seed", type=int, default=1, help="chooses which calls fail (default %(default)s)")
    rate = "share of calls %s (default %%(default)s)"
    options.add_argument("--unavailable", type=float, default=0.06, help=rate % "refused with 503")
    options.add_argument(
        "--dropped", type=float, default=0.03, help=rate % "whose answer is lost after the effect"
    )
    options.add_argument("--slow", type=float, default=0.02, help=rate % "answered late")
    options.add_argument(
        "--delay", type=float, default=3.0, help="seconds a slow answer takes (default %(default)s)"
    )
    return options


def main(service: Service, options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code of the process."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        faults = FaultPlan(
            seed=options.seed,
            unavailable=options.unavailable,
            dropped=options.dropped,
            slow=options.slow,
            delay=timedelta(seconds=options.delay),
        )
        ledger = Ledger(options.database)
        server = Server(options.port, service, ledger, faults)
    except (OSError, ValueError, OverflowError) as problem:
        print(f"The {service.name} service cannot start on port {options.port}: {problem}", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for serve_forever(), which this very thread runs: it needs a thread of its own.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"The {service.name} service listens on {server.url}.")
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    return 0
