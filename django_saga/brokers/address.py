"""Reads the URL of a broker: where it is, who we are, and options behind the question mark.

What is wrong with it is said without the URL, which holds a password.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

# By name: how the text is read, and what it is where it is not given.
Options = Mapping[str, tuple[Callable[[str], Any], Any]]


@dataclass(frozen=True, slots=True)
class Address:
    """A URL that was read. ``hosts``: with their ports, as they were written."""

    scheme: str
    hosts: str
    path: str
    options: dict[str, Any]
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    others: dict[str, str] = field(default_factory=dict, repr=False)


def read(url: str, known: Options, *, with_others: bool = False) -> Address:
    """Read ``url``. Raises ``ImproperlyConfigured`` for options that are not ``known``, or no such values.

    ``with_others``: options whose names have a dot are somebody else's to know.
    """
    parts = urlsplit(url)
    user, password = _credentials(parts)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    others = {name: text for name, text in given.items() if with_others and "." in name}
    for name in given.keys() - known.keys() - others.keys():
        raise ImproperlyConfigured(
            f"The URL of a {parts.scheme}: broker has an option {name!a:.40}; known are {', '.join(known)}."
        )
    return Address(
        scheme=parts.scheme,
        hosts=parts.netloc.rpartition("@")[2],
        path=unquote(parts.path.removeprefix("/")),
        options={name: _value(name, *known[name], given.get(name)) for name in known},
        user=user,
        password=password,
        others=others,
    )


def yes(text: str) -> bool:
    """Read ``yes`` or ``no``."""
    return {"yes": True, "no": False}[text]


def one_of(*names: str) -> Callable[[str], str]:
    """Read one of ``names``."""
    return lambda text: {name: name for name in names}[text]


def _credentials(parts: SplitResult) -> tuple[str | None, str | None]:
    return (
        None if parts.username is None else unquote(parts.username),
        None if parts.password is None else unquote(parts.password),
    )


def _value(name: str, convert: Callable[[str], Any], default: Any, text: str | None) -> Any:
    if text is None:
        return default
    try:
        return convert(text)
    except (KeyError, ValueError):
        raise ImproperlyConfigured(f"The URL of a broker has no usable value for {name}.") from None
