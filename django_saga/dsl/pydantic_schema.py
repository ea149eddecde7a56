"""Pydantic models as schemas: pydantic's own JSON rules, both ways. Needs pydantic 2.11 or later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import to_json

from django_saga.dsl.scalars import Fit, Misfit, SchemaError, kind_of

if TYPE_CHECKING:
    from pydantic import BaseModel


class PydanticSchema:
    """Fits what the model accepts."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    def to_plain(self, value: Any, name: str) -> Any:
        """Give the model's JSON form. Raises ``SchemaError``."""
        try:
            instance = value if isinstance(value, self._model) else self._model.model_validate(value)
            # Fields by their own names: an alias may be for reading only.
            return instance.model_dump(mode="json", by_alias=False)
        except ValidationError as error:
            raise _misfit(error).as_error(name) from error
        except ValueError as error:
            problem = f"{self._model.__name__} cannot be written as JSON: {error}"
            raise SchemaError(problem, path=name) from error

    def from_plain(self, data: Any, name: str) -> Any:
        """Give an instance of the model. Raises ``SchemaError``."""
        try:
            # As JSON text, for models that are strict about Python types.
            return self._model.model_validate_json(to_json(data), by_alias=True, by_name=True)
        except ValidationError as error:
            raise _misfit(error).as_error(name) from error


def fit_model(model: Any) -> Fit:
    """Give the fit of a model that is a field of something else."""

    def fit(value: Any) -> Any:
        try:
            return model.model_validate(value, by_alias=True, by_name=True)
        except ValidationError as error:
            raise _misfit(error) from error

    return fit


def _misfit(error: ValidationError) -> Misfit:
    """Give the first error, without the value, which may be secret."""
    first = error.errors(include_url=False, include_context=False)[0]
    got = "" if first["type"] == "missing" else f" (got {kind_of(first['input'])})"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    misfit = Misfit(f"{first['msg']}{got}{more}")
    for key in reversed(first["loc"]):
        misfit.within(key)
    return misfit
