"""A page of the admin as its reader sees it: its text, its links and its elements."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from typing import Any

from django.urls import reverse

BASE = "/admin/django_saga/"


def list_url(model: str, query: str = "") -> str:
    """The URL of a list."""
    return reverse(f"admin:django_saga_{model}_changelist") + query


def row_url(model: str, pk: object) -> str:
    """The URL of the page of a row."""
    return reverse(f"admin:django_saga_{model}_change", args=[pk])


@dataclass
class Page:
    """What a response's HTML holds. ``elements`` are tags with the names of their attributes, in order."""

    html: str
    text: str
    elements: list[tuple[str, tuple[str, ...]]]
    links: list[str]
    rows: list[list[str]] = field(default_factory=list)

    @classmethod
    def of(cls, response: Any) -> Page:
        """Read ``response``, which has to be a page."""
        assert response.status_code == 200, (response.status_code, response.headers.get("Location"))
        reader = _Reader()
        html = response.content.decode()
        reader.feed(html)
        return cls(html, _flat(reader.words), reader.elements, reader.links, reader.rows)

    def leads_to(self, url: str) -> bool:
        """Whether a link goes to ``url``; one to a row may remember the filters of the list."""
        return url in self.links or url in {link.partition("?")[0] for link in self.links}

    @property
    def actions(self) -> list[str]:
        """What the page lets its reader do to a saga or a definition: the action, and the step of one."""
        found = [re.search(r"/act/([a-z-]+)/(?:\?step=(\w+))?$", link) for link in self.links]
        return [f"{each[1]} {each[2] or ''}".strip() for each in found if each]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.rows: list[list[str]] = []
        self._cell: list[str] | None = None
        self._silent = 0
        self._in_content = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        if tag == "a":
            self.links += [value or "" for name, value in attrs if name == "href"]
        elif ("id", "content-main") in attrs:
            self._in_content = True  # the tables before it are the menu
        elif tag == "tr" and self._in_content:
            self.rows.append([])
        elif tag in ("td", "th") and self._in_content:
            self._cell = []
        elif tag in ("script", "style"):
            self._silent += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None and self.rows:
            self.rows[-1].append(_flat(self._cell))
            self._cell = None
        elif tag in ("script", "style"):
            self._silent -= 1

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        self.words.append(data)
        if self._cell is not None:
            self._cell.append(data)


def _flat(words: list[str]) -> str:
    return re.sub(r"\s+", " ", " ".join(words)).strip()


def told(response: Any) -> list[tuple[str, str]]:
    """Level and words of the messages that the next page shows."""
    html = response.content.decode()
    found = re.findall(r'<li class="(success|error|warning)">(.*?)</li>', html, re.DOTALL)
    return [(level, unescape(words).strip()) for level, words in found]
