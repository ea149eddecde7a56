"""Settings of the example project, safe unless the environment says otherwise.

=====================  ==========================================================================
DJANGO_DEBUG           1: error pages with tracebacks, static files served, plain HTTP (default 0)
DJANGO_SECRET_KEY      without it every process makes its own: sessions end with the process
DJANGO_ALLOWED_HOSTS   names of the site, separated by commas (default: this machine only)
DATABASE_URL           such as postgresql://user@host/name (default: the SQLite file EXAMPLE_SQLITE)
EXAMPLE_SQLITE         path of the SQLite file (default: example.sqlite3 beside manage.py)
EXAMPLE_PAYMENTS_URL   the payment service (default http://127.0.0.1:8101)
EXAMPLE_SHIPPING_URL   the shipping service (default http://127.0.0.1:8102)
EXAMPLE_BOOKINGS_URL   the booking service (default http://127.0.0.1:8103)
EXAMPLE_STORES_URL     the service of the warehouses (default http://127.0.0.1:8104)
=====================  ==========================================================================
"""

from __future__ import annotations

import os
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent


def _database() -> dict[str, Any]:
    if url := os.environ.get("DATABASE_URL"):
        import dj_database_url

        database = dict(dj_database_url.parse(url))
    else:
        database = {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ.get("EXAMPLE_SQLITE", BASE_DIR / "example.sqlite3"),
        }
    if database["ENGINE"] == "django.db.backends.sqlite3":
        database["OPTIONS"] = {
            # A transaction that reads first and writes later is refused, not made to wait, when another one
            # wrote in between; taking the write lock at its start makes it wait, up to ``timeout`` seconds.
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
            # Readers and the one writer do not block each other. What is committed is on disk:
            # ``synchronous`` keeps its default, FULL.
            "init_command": "PRAGMA journal_mode=WAL",
        }
    return database


def _installed(*packages: str) -> list[str]:
    """Return those of ``packages`` that can be imported."""
    return [package for package in packages if find_spec(package)]


DEBUG = os.environ.get("DJANGO_DEBUG", "0").lower() in {"1", "true", "yes", "on"}
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or get_random_secret_key()
ALLOWED_HOSTS = [
    host.strip()
    for host in os.environ.get("DJANGO_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
    if host.strip()
]

# django-celery-beat and django-prometheus do not support every Django that django-saga does.
_OPTIONAL_APPS = _installed("drf_spectacular", "django_celery_beat", "django_prometheus")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    *_OPTIONAL_APPS,
    "django_saga",
    "example_project.cases",
    "example_project.shop",
    "example_project.bank",
    "example_project.travel",
    "example_project.warehouse",
    "example_project.subscription",
    "example_project.club",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
if "django_prometheus" in _OPTIONAL_APPS:
    # The outermost two, so that they measure all the others.
    MIDDLEWARE.insert(0, "django_prometheus.middleware.PrometheusBeforeMiddleware")
    MIDDLEWARE.append("django_prometheus.middleware.PrometheusAfterMiddleware")

ROOT_URLCONF = "example_project.urls"
WSGI_APPLICATION = "example_project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "static"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

if not DEBUG:
    SECURE_SSL_REDIRECT = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    SECURE_HSTS_SECONDS = 3600
# What these two ask for binds every other site under the same domain: its owner has to decide that.
SILENCED_SYSTEM_CHECKS = ["models.W037", "security.W005", "security.W021"]

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.LimitOffsetPagination",
    "PAGE_SIZE": 50,
}
if "drf_spectacular" in _OPTIONAL_APPS:
    REST_FRAMEWORK["DEFAULT_SCHEMA_CLASS"] = "drf_spectacular.openapi.AutoSchema"
SPECTACULAR_SETTINGS = {
    "TITLE": "Example shop",
    "VERSION": "1",
    # Several models have a field called ``status``: each list of choices gets a name of its own.
    "ENUM_NAME_OVERRIDES": {
        "CaseStatus": "example_project.cases.models.CaseStatus",
        "SubscriptionStatus": "example_project.subscription.models.SubscriptionStatus",
        "SagaStatus": "django_saga.models.SagaInstance.Status",
        "StepStatus": "django_saga.models.SagaStep.Status",
    },
}

# Written into the log of the worker: nobody gets mail from an example.
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
DEFAULT_FROM_EMAIL = "example@example.com"

PAYMENTS_URL = os.environ.get("EXAMPLE_PAYMENTS_URL", "http://127.0.0.1:8101")
SHIPPING_URL = os.environ.get("EXAMPLE_SHIPPING_URL", "http://127.0.0.1:8102")
BOOKINGS_URL = os.environ.get("EXAMPLE_BOOKINGS_URL", "http://127.0.0.1:8103")
STORES_URL = os.environ.get("EXAMPLE_STORES_URL", "http://127.0.0.1:8104")
# How long an app waits for one answer of a service. Longer than a usual answer takes, and shorter than the
# time limit of the step: a timed-out call is then an error of that call and not of the whole attempt.
SERVICE_TIMEOUT = timedelta(seconds=2)
