"""The site as a whole: pages that work without scripts, settings that are safe, a schema that is valid."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import pytest

from example_project.domains import DOMAINS, OTHERS, Domain
from tests.example.site import Site
from tests.example.test_shop_api import ORDER


def page(site: Site, path: str = "/") -> str:
    with urlopen(site.url + path, timeout=30) as answer:  # noqa: S310
        return str(answer.read().decode())


def test_the_home_page_shows_the_latest_order_and_links_into_the_admin(site: Site) -> None:
    placed = site.post_order(ORDER).body

    html = page(site)

    assert f'<a href="/admin/shop/order/{placed["id"]}/change/">{placed["id"]}</a>' in html
    assert f'href="/admin/django_saga/sagainstance/{placed["saga"]["id"]}/change/"' in html
    assert "3 &times; Blue mug" in html
    assert "Zoë" not in html


@pytest.mark.parametrize("domain", OTHERS, ids=lambda domain: domain.app)
def test_the_home_page_counts_what_the_other_apps_do_and_links_to_it(site: Site, domain: Domain) -> None:
    linked = re.search(rf'<a href="(/admin/{domain.app}/\w+/)">{domain.cases}</a>', page(site))

    assert linked
    assert site.get(linked[1]).status == 302
    assert site.get(f"/api/{domain.cases}/").status == 200


def test_the_home_page_asks_for_itself_again_unless_told_to_hold_still(site: Site) -> None:
    refresh = '<meta http-equiv="refresh"'

    assert [refresh in page(site, path) for path in ("/", "/?hold=1")] == [True, False]


def test_the_home_page_says_when_no_worker_is_running(site: Site) -> None:
    site.post_order(ORDER)

    assert "wait for a worker, and none is running" in page(site)


def test_the_home_page_needs_nothing_that_a_strict_content_security_policy_forbids(site: Site) -> None:
    html = page(site)

    assert re.findall(r"<script|<style|style=|\son\w+=|https?://(?!www\.w3\.org)", html) == []
    assert "prefers-color-scheme: dark" in page(site, "/static/shop/shop.css")


@pytest.mark.parametrize("path", ["/admin/shop/order/", "/admin/django_saga/sagainstance/"])
def test_the_admin_asks_for_a_login(site: Site, path: str) -> None:
    assert site.get(path).status == 302


def test_the_settings_are_safe(site: Site) -> None:
    output = site.run("check", "--deploy", "--fail-level", "WARNING")

    # How many are silenced depends on the database: models.W037 is about one without partial indexes.
    assert re.fullmatch(r"System check identified no issues \(\d+ silenced\)\.\n", output), output


def test_no_migration_is_missing(site: Site) -> None:
    apps = [domain.app for domain in DOMAINS]

    assert site.run("makemigrations", "--check", "--dry-run", *apps).startswith("No changes detected in app")


def test_the_schema_is_valid(site: Site, tmp_path: Path) -> None:
    if not find_spec("drf_spectacular"):
        pytest.skip("drf-spectacular is not installed")
    file = tmp_path / "schema.yaml"

    assert site.run("spectacular", "--validate", "--fail-on-warn", "--file", str(file)) == ""
    assert "CaseStatus:" in file.read_text()


def test_a_catalogue_with_a_bad_line_is_refused_whole(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "products.csv"
    file.write_text("sku,name,price,stock\nHAT,Hat,12.00,5\nCAP,Cap,cheap,5\n")

    output = site.run("load_catalogue", str(file), exit_code=1)

    assert output == f"CommandError: {file}, line 3, price: “cheap” value must be a decimal number.\n"
