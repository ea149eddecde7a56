"""``manage.py place_samples``: places cases of each app, other than orders, through the REST endpoints."""

from __future__ import annotations

import time
from random import Random
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from example_project.clients.posting import NoAnswer, post_patiently
from example_project.domains import OTHERS, Domain


class Command(BaseCommand):
    help = (
        "Place sample cases: transfers, trips and so on, some of which cannot be carried out. The same seed "
        "gives the same cases under the same keys: placing them again is harmless."
    )
    # A client of the site: it needs neither its database nor its checks.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--site", metavar="URL", default="http://127.0.0.1:8000", help="%(default)s")
        parser.add_argument("--each", metavar="N", type=int, default=30, help="of each app: %(default)s")
        parser.add_argument("--rate", metavar="N", type=float, default=15, help="cases a second: %(default)s")
        parser.add_argument("--seed", type=int, default=1, help="chooses what is asked for: %(default)s")

    def handle(self, *, site: str, each: int, rate: float, seed: int, **options: Any) -> None:
        began = time.monotonic()
        asked = [(number, domain) for number in range(1, each + 1) for domain in OTHERS]
        for sent, (number, domain) in enumerate(asked):
            time.sleep(max(0.0, began + sent / rate - time.monotonic()))
            _place(domain, site, f"{seed}-{number}")
        self.stdout.write(self.style.SUCCESS(f"{len(asked)} cases placed."))


def _place(domain: Domain, site: str, number: str) -> None:
    url = f"{site.rstrip('/')}/api/{domain.cases}/"
    chance = Random(f"{domain.app}:{number}")
    placed = _post(url, domain.samples.draw(chance), key=f"sample-{number}")
    if follow_up := getattr(domain.samples, "follow_up", None):
        path, body = follow_up(chance, placed)
        # 409: it comes too late, as when all is placed once more and the case is over.
        _post(f"{url}{placed['id']}/{path}", body, key=f"follow-up-{number}", but=409)


def _post(url: str, body: dict[str, Any], *, key: str, but: int = 0) -> dict[str, Any]:
    try:
        answer = post_patiently(url, body, idempotency_key=key)
    except NoAnswer as problem:
        raise CommandError(f"{problem}\nRun it again to go on: no case is placed twice.") from None
    if (answer.status >= 300 and answer.status != but) or not isinstance(answer.body, dict):
        raise CommandError(f"POST {url} was answered with status {answer.status}: {answer.body}")
    return answer.body
