"""The settings of the tests and of the example project in one, for the type checker alone."""

from example_project.settings import *  # noqa: F403
from tests import settings as tests

INSTALLED_APPS = list(dict.fromkeys([*INSTALLED_APPS, *tests.INSTALLED_APPS, "tests.depot"]))  # noqa: F405
