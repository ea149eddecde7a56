"""What the package says about itself is true."""

from __future__ import annotations

import tomllib

import django_saga
from tests.repository.files import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_django_is_the_one_hard_dependency_and_has_no_upper_bound():
    assert PROJECT["dependencies"] == ["django>=5.2"]


def test_the_package_knows_its_own_version():
    assert django_saga.__version__ == PROJECT["version"]


def test_all_extras_are_in_the_extra_all():
    extras = PROJECT["optional-dependencies"]

    assert extras["all"] == [f"django-saga[{','.join(name for name in extras if name != 'all')}]"]


def test_every_public_name_can_be_had():
    assert [public for public in django_saga.__all__ if not hasattr(django_saga, public)] == []
