"""``python -m example_project.demo``: the command line of the demo."""

from __future__ import annotations

import argparse
import signal
import sys
from datetime import timedelta
from pathlib import Path

from example_project.demo.run import ROOT, Options, run
from example_project.demo.screen import shown

ORDERS = ROOT / "example_project" / "data" / "orders.csv"


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; return its exit code: 0, or 1 when something went wrong or the books do not agree."""
    # A plain kill or a closed terminal is to leave nothing behind either. SIGINT as well, since a shell that
    # starts a command in the background lets it ignore that one.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    parser = _parser()
    given = parser.parse_args(arguments)
    if not 0 < given.rate < float("inf"):
        parser.error(f"--rate {given.rate}: give a number above 0")
    return run(
        Options(
            orders=given.orders,
            rate=given.rate,
            others=given.others,
            port=given.port,
            directory=given.dir,
            seed=given.seed,
            database_url=given.database_url,
            exit_when_done=given.exit_when_done,
            time_limit=timedelta(seconds=given.timeout),
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m example_project.demo",
        description="Start the site, a worker and fake services that fail at times, and place orders.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--orders", type=Path, metavar="FILE", default=shown(ORDERS), help="CSV file of orders"
    )
    parser.add_argument("--rate", type=float, metavar="N", default=40, help="orders placed a second")
    parser.add_argument(
        "--others", type=int, metavar="N", default=30, help="cases of each app other than the shop"
    )
    parser.add_argument("--port", type=int, default=8000, help="port of the site; 0: any that is free")
    parser.add_argument(
        "--dir",
        type=Path,
        default=Path(".demo"),
        help="databases and logs; those of the last demo are deleted",
    )
    parser.add_argument("--seed", type=int, default=1, help="chooses which calls to the services fail")
    parser.add_argument(
        "--database-url",
        metavar="URL",
        default="",
        help="the site's database, such as postgresql://user@host/name; an SQLite file in --dir if not given",
    )
    parser.add_argument(
        "--exit-when-done",
        action="store_true",
        help="end when all sagas have, with 1 if the books do not agree",
    )
    parser.add_argument(
        "--timeout", type=float, metavar="SECONDS", default=600, help="longest wait of --exit-when-done"
    )
    return parser


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
