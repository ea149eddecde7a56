"""Settings of the depot; ``DEPOT_DATABASE`` is the path of its database."""

from __future__ import annotations

import os

from tests.databases import SQLITE_OPTIONS

SECRET_KEY = "the depot's own"
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["DEPOT_DATABASE"],
        "OPTIONS": {**SQLITE_OPTIONS},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django_saga", "tests.depot"]
DJANGO_SAGA = {"SOURCE": "urn:depot"}
