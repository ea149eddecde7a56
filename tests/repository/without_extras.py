"""A script: import all of django_saga and run a saga on SQLite while no optional package is to be had.

``python without_extras.py DATABASE_FILE``
"""

import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from pkgutil import walk_packages

from tests.repository.optional import ADAPTERS, TEST_RUNNER

REFUSED = ADAPTERS | TEST_RUNNER


class Refuse(MetaPathFinder):
    def find_spec(self, fullname, path, target=None):
        if fullname.partition(".")[0] in REFUSED:
            raise ModuleNotFoundError(f"{fullname} is an optional package", name=fullname)


sys.meta_path.insert(0, Refuse())

import django  # noqa: E402
from django.conf import settings  # noqa: E402

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": sys.argv[1],
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 30},
        }
    },
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "django_saga",
    ],
    USE_TZ=True,
)
django.setup()

from django.core.management import call_command  # noqa: E402

import django_saga  # noqa: E402

for module in walk_packages(django_saga.__path__, "django_saga."):
    if module.name not in set().union(*REFUSED.values()):
        import_module(module.name)


class HelloSaga(django_saga.Saga):
    """Greet somebody."""

    @django_saga.step(no_compensation=True)
    def greet(self, ctx):
        return {"greeting": f"Hello, {ctx.input['name']}"}


call_command("migrate", verbosity=0)
handle = HelloSaga.run({"name": "world"})
print(handle.status, handle.result())
