"""A program that publishes and ends: ``python -m tests.messages.publisher COUNT``."""

from __future__ import annotations

import sys

import django


def main(count: int) -> None:
    """Publish so many messages, each in a transaction of its own."""
    django.setup()
    from django_saga import publish

    for n in range(count):
        publish("test.noted", {"n": n}, key="a")
    print("published", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
