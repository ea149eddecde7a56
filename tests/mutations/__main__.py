"""Breaks the engine in known ways and shows that a test notices each.

``python -m tests.mutations [M1 M2 …] [--jobs N]``: every mutation is an edit in a copy of the source tree, in
which its test has to turn red; in a copy without it the same test has to be green. On PostgreSQL, from
``DATABASE_URL`` or the wheel. Exit code 1 when a mutation went unnoticed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.mutations import constructs, flows, messages, operators, participants, table
from tests.mutations.mutation import Mutation

MUTATIONS = (
    *table.MUTATIONS,
    *constructs.MUTATIONS,
    *messages.MUTATIONS,
    *participants.MUTATIONS,
    *flows.MUTATIONS,
    *operators.MUTATIONS,
)

ROOT = Path(__file__).resolve().parent.parent.parent
_COPIED = ("django_saga", "example_project", "tests", "pyproject.toml")
# A test that the mutation makes wait for ever has noticed it too.
_TOO_LONG = 150  # seconds
_PASSED, _FAILED = 0, 1  # exit codes of pytest; all others say that the test did not run


class Run(NamedTuple):
    """How the test of a mutation went."""

    code: int | None  # None: it took too long
    said: str
    seconds: float

    @property
    def is_red(self) -> bool:
        """True when the test failed, which an error around it is not, or never came to an end."""
        return self.code is None or (self.code == _FAILED and "\nFAILED tests/" in self.said)

    @property
    def complaint(self) -> str:
        """The first thing the test complained of, in one line."""
        if self.code is None:
            return "did not come to an end"
        said = [line[1:].strip() for line in self.said.splitlines() if line.startswith("E ")]
        return next((line for line in said if "Error" in line), next(iter(said), ""))[:150]


def main() -> int:
    """Run the mutations asked for, print the table, and give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("numbers", nargs="*", metavar="M1", help="which mutations (default: all)")
    parser.add_argument("--jobs", type=int, default=2, help="mutations at a time (default: 2)")
    options = parser.parse_args()
    known = {mutation.number: mutation for mutation in MUTATIONS}
    if unknown := set(options.numbers) - known.keys():
        parser.error(f"no mutation {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    chosen = [known[number] for number in options.numbers or known]
    with tempfile.TemporaryDirectory(prefix="saga-mutations-") as directory:
        at = Path(directory)
        untouched = _copy(at / "untouched")
        tests = list(dict.fromkeys(mutation.test for mutation in chosen))
        print(f"{len(chosen)} mutations; first the {len(tests)} tests without any ...", flush=True)
        green = _pytest(untouched, tests, limit=_TOO_LONG * 6)
        if green.code != _PASSED:
            print(f"The tests have to be green before anything is broken:\n{green.said}")
            return 1
        print(f"all passed, {green.seconds:.0f} s\n", flush=True)
        with ThreadPoolExecutor(options.jobs) as pool:
            runs = list(pool.map(partial(_tried, at), chosen))
    unnoticed = 0
    for mutation, run in zip(chosen, runs, strict=True):
        noticed = "red" if run.is_red else "NOT NOTICED" if run.code == _PASSED else "DID NOT RUN"
        unnoticed += not run.is_red
        print(f"{mutation.number:<4} {noticed:<12} {run.seconds:>4.0f} s  {mutation.what}")
        print(f"     {mutation.test}\n     {run.complaint}")
        if not run.is_red:
            print(run.said[-6000:])
    print(f"\n{len(chosen) - unnoticed} of {len(chosen)} mutations were noticed")
    return int(unnoticed > 0)


def _tried(at: Path, mutation: Mutation) -> Run:
    tree = _copy(at / mutation.number)
    _edit(tree, mutation)
    run = _pytest(tree, [mutation.test], limit=_TOO_LONG)
    shutil.rmtree(tree)
    return run


def _copy(tree: Path) -> Path:
    tree.mkdir()
    for name in _COPIED:
        if (ROOT / name).is_dir():
            # With what was compiled, which an edited source no longer fits; without what is being written.
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("*.pyc.*"))
        else:
            shutil.copy(ROOT / name, tree / name)
    return tree


def _edit(tree: Path, mutation: Mutation) -> None:
    for path, old, new in mutation.edits:
        text = (tree / path).read_text()
        if text.count(old) != 1:
            raise SystemExit(f"{mutation.number}: {path} has this {text.count(old)} times, not once:\n{old}")
        (tree / path).write_text(text.replace(old, new))


def _pytest(tree: Path, tests: Sequence[str], *, limit: float) -> Run:
    """Run ``tests`` in ``tree``, which comes before the installed package."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=short", *tests],
        cwd=tree,
        env={**os.environ, "SAGA_TEST_DATABASE": "postgres", "PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    code: int | None
    try:
        said, _ = process.communicate(timeout=limit)
        code = process.returncode
    except subprocess.TimeoutExpired:
        process.terminate()  # it then drops its database
        said, _ = process.communicate()
        code = None
    return Run(code, said, time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
