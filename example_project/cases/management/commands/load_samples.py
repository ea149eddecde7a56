"""``manage.py load_samples``: puts in what each app needs before anybody can ask it for something."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from example_project.domains import DOMAINS


class Command(BaseCommand):
    help = "Load the products, accounts and so on that the apps begin with; doing it again is harmless."

    def handle(self, **options: Any) -> None:
        for domain in DOMAINS:
            domain.samples.load()
        self.stdout.write(self.style.SUCCESS(f"Loaded: {', '.join(domain.app for domain in DOMAINS)}."))
