"""The processes of the demo: each in a group of its own, its output in a file, and none left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

LINES_SHOWN = 15
PR_SET_PDEATHSIG = 1


class ChildDied(Exception):
    """A process ended that should be running."""

    def __init__(self, child: Child) -> None:
        super().__init__(
            f"The process {child.name!r} ended with exit code {child.exit_code}. "
            f"Its last lines, from {child.log}:\n{child.last_lines()}"
        )


class Child:
    """A Python process started by the demo; it has to run on, or to end with one of ``good_exits``."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        *,
        directory: Path,
        cwd: Path,
        env: Mapping[str, str],
        good_exits: Collection[int] = (),
    ) -> None:
        self.name = name
        self.good_exits = good_exits
        self.log = directory / f"{name}.log"
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 (the demo's own commands)
                [sys.executable, *arguments],
                cwd=cwd,
                env={**env, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C goes to the demo alone, which then stops its children in order.
                start_new_session=True,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._process.poll()

    @property
    def has_ended_well(self) -> bool:
        return self.exit_code in self.good_exits

    def check(self) -> None:
        """Raise ``ChildDied`` if it ended and should not have."""
        if self.exit_code is not None and not self.has_ended_well:
            raise ChildDied(self)

    def last_lines(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-LINES_SHOWN:])

    def stop(self, patience: timedelta) -> None:
        """Ask it to end; after ``patience``, or when interrupted, make it."""
        if self.has_ended_well:
            return
        try:
            if self.exit_code is None:
                self._process.terminate()
                self._process.wait(patience.total_seconds())
        except subprocess.TimeoutExpired:
            pass
        finally:
            # Its own children as well, whether or not it got round to them.
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _end_with_parent() -> None:
    # A demo that is killed by force stops nothing any more: Linux then sends this signal in its place.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
