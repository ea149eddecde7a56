"""Django settings of the benchmarks: PostgreSQL as ``DATABASE_URL`` says, nothing beside the app."""

from __future__ import annotations

import os

import dj_database_url

SECRET_KEY = "benchmarks only"  # noqa: S105
USE_TZ = True
DATABASES = {"default": {**dj_database_url.parse(os.environ["DATABASE_URL"]), "CONN_MAX_AGE": None}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django_saga", "benchmarks"]
INSTALLED_APPS += os.environ.get("BENCH_APPS", "").split()
# What sends messages is measured by itself.
DJANGO_SAGA = {"OPTIMISTIC": False}
