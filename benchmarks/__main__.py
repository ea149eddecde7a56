"""Runs the benchmarks and prints a table; ``--json`` writes one line for each figure and run as well."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks import server
from benchmarks.cases import CASES


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure django-saga on a durable PostgreSQL (DATABASE_URL, else the wheel's).",
        epilog="; ".join(f"{name}: {case.__doc__}" for name, case in CASES.items()),
    )
    parser.add_argument("cases", nargs="*", metavar="B1", help="cases to run (default: all)")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="runs of each case (default: 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append one line for each figure and run")
    options = parser.parse_args()
    names = [name.upper() for name in options.cases] or list(CASES)
    if unknown := [name for name in names if name not in CASES]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(CASES)}")
    with server.postgres() as url:
        _set_up(url)
        yardstick = {clients: server.pgbench(url, clients) for clients in (1, 16)}
        environment = _environment()
        print(_head(environment, yardstick))
        for name in names:
            _run(name, options.runs, options.json, environment)


def _set_up(url: str) -> None:
    os.environ["DATABASE_URL"] = url
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def _environment() -> dict[str, Any]:
    import django
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        version = cursor.fetchone()[0]
    return {
        "python": platform.python_version(),
        "django": django.get_version(),
        "postgresql": version,
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
    }


def _head(environment: dict[str, Any], yardstick: dict[int, float | None]) -> str:
    on = ", ".join(f"{key} {value}" for key, value in environment.items())
    rates = ", ".join(
        f"{rate:,.0f}/s with {clients} client{'s' * (clients > 1)}"
        for clients, rate in yardstick.items()
        if rate is not None
    )
    return f"{on}\npgbench, single-row updates: {rates or 'not installed'}\n"


def _run(name: str, runs: int, output: Path | None, environment: dict[str, Any]) -> None:
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    print(f"{name}  {CASES[name].__doc__}")
    for run in range(1, runs + 1):
        if sys.stderr.isatty():
            print(f"  run {run} of {runs} …", end="\r", file=sys.stderr)
        for metric, value, unit in CASES[name]():
            values[metric, unit].append(value)
            if output:
                line = {"benchmark": name, "metric": metric, "value": value, "unit": unit, "run": run}
                with output.open("a") as file:
                    file.write(json.dumps({**line, **environment}) + "\n")
    for (metric, unit), found in values.items():
        middle = statistics.median(found)
        print(f"    {metric:<45} {middle:>12,.2f} {unit:<4} ({min(found):,.2f} to {max(found):,.2f})")
    print(flush=True)


if __name__ == "__main__":
    main()
