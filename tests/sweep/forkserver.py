"""A process that has Django imported and forks for each job: a run that is killed costs milliseconds.

``python -m tests.sweep.forkserver SOCKET``: each line on the socket is a job (name of a function in
``tests.sweep.jobs`` and its keyword arguments, as JSON); each answer tells how the process ended and what the
job gave.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import socket
import sys
import traceback
from typing import Any

import django

# A job takes a fraction of a second; one that hangs is shown with its stack, and ended.
_HANGS_AFTER = 40


def main(path: str) -> None:
    """Serve one client until it hangs up."""
    django.setup()
    from tests.sweep import jobs

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    print("ready", flush=True)
    client, _ = listener.accept()
    lines = client.makefile("rw")
    for line in lines:
        name, arguments = json.loads(line)
        lines.write(json.dumps(_fork(getattr(jobs, name), arguments)) + "\n")
        lines.flush()


def _fork(job: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        code = 1
        try:
            faulthandler.dump_traceback_later(_HANGS_AFTER, exit=True)
            gave = json.dumps(job(**arguments))
            os.write(write, gave.encode())
            code = 0
        except BaseException:
            os.write(write, json.dumps({"error": traceback.format_exc()}).encode())
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as pipe:
        gave = pipe.read()
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return {"killed": code == -signal.SIGKILL, "code": code, **(json.loads(gave) if gave else {})}


if __name__ == "__main__":
    main(sys.argv[1])
