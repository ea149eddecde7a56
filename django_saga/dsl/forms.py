"""What a person fills in: a Django form, or whatever may be the input of a saga."""

from __future__ import annotations

from typing import Any

from django.forms import BaseForm

from django_saga.conf import get_settings
from django_saga.dsl import payloads
from django_saga.dsl.scalars import UnsupportedType
from django_saga.dsl.schema import schema_for
from django_saga.exceptions import EncodingError, InvalidForm


def require_form(form: Any) -> None:
    """Raise ``TypeError`` for what is no form."""
    if _is_form(form):
        return
    try:
        schema_for(form)
    except UnsupportedType as error:
        raise TypeError(
            f"form={form!r}: give a Django form, a dataclass of types that JSON can carry, a pydantic model "
            f"or a serializer class. {error}."
        ) from None


def filled_in(form: Any, data: Any, what: str) -> str:
    """Check ``data`` against ``form`` and give it as JSON text. Raises ``InvalidForm``; ``what`` is its
    subject.
    """
    if form is None:
        if data not in (None, {}):
            raise _refused(what, {"": ["there is nothing to fill in, and data was given"]})
        return "null"
    plain = _cleaned(form, data, what)
    try:
        return payloads.encode(plain, "data", get_settings().max_result_bytes, "MAX_RESULT_BYTES")
    except EncodingError as error:
        raise _refused(what, {_field(error.path): [error.problem]}) from error


def _cleaned(form: Any, data: Any, what: str) -> Any:
    if _is_form(form):
        filled = form(data=data or {})
        if not filled.is_valid():
            errors = filled.errors.get_json_data()
            raise _refused(
                what,
                {
                    "" if field == "__all__" else field: [each["message"] for each in found]
                    for field, found in errors.items()
                },
            )
        return filled.cleaned_data
    schema = schema_for(form)
    assert schema is not None
    try:
        return schema.to_plain(data, "data")
    except EncodingError as error:
        raise _refused(what, {_field(error.path): [error.problem]}) from error


def _is_form(form: Any) -> bool:
    return isinstance(form, type) and issubclass(form, BaseForm)


def _field(path: str) -> str:
    """Give the field that ``path`` leads to: ``amount`` of ``data.amount``."""
    return path.removeprefix("data").lstrip(".")


def _refused(what: str, errors: dict[str, list[str]]) -> InvalidForm:
    told = "; ".join(f"{field or 'data'}: {' '.join(found)}" for field, found in errors.items())
    return InvalidForm(f"{what}: {told}", errors=errors)
