"""A process that has Django imported and forks for each job: a run that is killed costs milliseconds.

``python -m tests.sweep.forkserver SOCKET``: each line on the socket is a job (name of a function in
``tests.sweep.jobs``, its keyword arguments and the path of its ledger, as JSON); each answer tells how the
process ended and what the job gave.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import signal
import socket
import sys
import traceback
from typing import Any

import django

from tests import ledger

# A job takes a fraction of a second; one that hangs is shown with its stack, and ended.
_HANGS_AFTER = 40


def main(path: str) -> None:
    """Serve one client until it hangs up."""
    # A thread that sends messages would pass points of its own.
    os.environ["DJANGO_SAGA_OPTIMISTIC"] = "0"
    django.setup()
    from tests.sweep import jobs, post_jobs

    # What is there now stays: children that look it over would copy all of it.
    gc.collect()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    print("ready", flush=True)
    client, _ = listener.accept()
    lines = client.makefile("rw")
    known = {**vars(jobs), **vars(post_jobs)}
    for line in lines:
        name, arguments, written_to = json.loads(line)
        os.environ[ledger.VARIABLE] = written_to
        lines.write(json.dumps(_fork(known[name], arguments)) + "\n")
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
