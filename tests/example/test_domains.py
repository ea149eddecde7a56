"""The apps beside the shop: their cases are placed over REST, carried by a worker, and their books agree."""

from __future__ import annotations

import json
from functools import partial
from random import Random
from typing import Any

import pytest

from example_project.clients import http
from example_project.domains import OTHERS, Domain
from tests.example.site import TIMEOUT, Site
from tests.processes import wait_until

NAMES = [domain.app for domain in OTHERS]


def place(site: Site, domain: Domain, body: dict[str, Any], *, key: str = "") -> http.Answer:
    url = f"{site.url}/api/{domain.cases}/"
    return http.call("POST", url, body, idempotency_key=key, timeout=TIMEOUT)


def ended_well(site: Site, domain: Domain) -> bool:
    """Run a worker, and say whether it left nothing that has to wait for a time."""
    site.run("saga_worker", "--once")
    cases = site.get(f"/api/{domain.cases}/?limit=100").body["results"]
    statuses = {case["saga"]["status"] for case in cases}
    assert statuses <= {"pending", "running", "compensating", "completed", "compensated"}, cases
    return statuses <= {"completed", "compensated"}


@pytest.mark.slow
@pytest.mark.parametrize("domain", OTHERS, ids=NAMES)
def test_a_case_is_placed_once_under_its_key_and_carried_to_an_end(site: Site, domain: Domain) -> None:
    body, other = (domain.samples.draw(Random(number)) for number in (1, 2))
    key = f"once-{domain.app}"

    first, again = place(site, domain, body, key=key), place(site, domain, body, key=key)
    taken = place(site, domain, other, key=key)
    if follow_up := getattr(domain.samples, "follow_up", None):
        path, posted = follow_up(Random(1), first.body)
        http.call("POST", f"{first.body['url']}{path}", posted, timeout=TIMEOUT)
    wait_until(lambda: ended_well(site, domain), message="all cases have ended")

    assert (first.status, first.headers["Idempotency-Replayed"]) == (202, "false")
    assert (again.status, again.headers["Idempotency-Replayed"]) == (202, "true")
    assert again.body == first.body
    assert (taken.status, "was used for another" in taken.body["detail"]) == (422, True)
    again = place(site, domain, body, key=key)
    assert again.body["saga"]["status"] in {"completed", "compensated"}
    ended = {step["status"] for step in again.body["saga"]["steps"]}
    assert ended <= {"succeeded", "skipped", "failed", "undone"}
    assert site.get(f"/admin/{domain.app}/").status == 302


@pytest.mark.slow
def test_the_books_of_all_apps_agree_after_many_cases(site: Site) -> None:
    code = (
        "import json; from example_project.domains import OTHERS; "
        "books = [(domain.app, domain.books(from_now=False)) for domain in OTHERS]; "
        "read = [(app, each, each.read()) for app, each in books]; "
        "print(json.dumps({app: [len(cases), list(each.problems(cases))] for app, each, cases in read}))"
    )
    site.run("place_samples", "--site", site.url, "--each", "10", "--rate", "1000")
    for domain in OTHERS:
        wait_until(partial(ended_well, site, domain), message=f"all {domain.cases} have ended")
    # Once more: no case is placed twice, and what follows comes too late for those that were cancelled.
    site.run("place_samples", "--site", site.url, "--each", "10", "--rate", "1000")

    found = json.loads(site.run("shell", "--verbosity", "0", "--command", code))

    assert {app: problems for app, (_, problems) in found.items()} == {name: [] for name in NAMES}
    assert all(count >= 10 for count, _ in found.values())


def test_a_payment_for_a_subscription_is_taken_once_and_not_when_it_was_cancelled(site: Site) -> None:
    [subscriptions] = [domain for domain in OTHERS if domain.app == "subscription"]
    wanted = {"email": "ada@example.org", "plan": "BASIC", "seats": 1}
    url = f"{place(site, subscriptions, wanted).body['url']}payments/"
    paid, more = ({"payment_id": f"bank-{number}", "amount": "1.00"} for number in (1, 2))

    statuses = [http.call("POST", url, paid, timeout=TIMEOUT).status for _ in range(2)]
    site.run("saga_worker", "--once")  # 9.00 were due
    refused = http.call("POST", url, more, timeout=TIMEOUT)

    assert statuses == [201, 200]
    assert (refused.status, refused.body) == (
        409,
        {"detail": "The subscription was cancelled: send the money back."},
    )
