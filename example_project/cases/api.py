"""What the REST endpoints of all kinds of cases have in common: place one, see how far it is."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar

from django.shortcuts import get_object_or_404
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from example_project.cases.models import Case
from example_project.cases.placing import KeyTaken
from example_project.cases.progress import with_sagas

LONGEST_KEY = 200

C = TypeVar("C", bound=Case)


class KeyTakenError(APIException):
    """422, as the IETF draft on the Idempotency-Key header asks."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "idempotency_key_taken"

    def __init__(self, kind: object) -> None:
        super().__init__(f"This Idempotency-Key was used for another {kind}.")


class CaseViewSet(GenericViewSet[C], Generic[C]):
    """Cases of one kind: placed by POST, carried through by their sagas, looked at by GET."""

    new_serializer: ClassVar[type[BaseSerializer[Any]]]  # a case to be placed, with ``draft()``
    serializer_class: type[BaseSerializer[Any]]  # a case in a list
    with_steps_serializer: ClassVar[type[BaseSerializer[Any]]]  # a case by itself
    lookup_value_converter = "int"

    def place(self, draft: C, *, key: str | None) -> tuple[C, bool]:
        """Place ``draft``; say whether it is a new case. Raises ``KeyTaken``."""
        raise NotImplementedError

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        by_action = {"create": self.new_serializer, "list": self.serializer_class}
        return by_action.get(self.action, self.with_steps_serializer)

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(self.get_serializer(with_sagas(page), many=True).data)

    def retrieve(self, request: Request, pk: int) -> Response:
        return Response(self._shown(get_object_or_404(self.get_queryset(), pk=pk)))

    def create(self, request: Request) -> Response:
        """Answer 202: the case is taken and its saga is on its way. ``Location`` tells how it gets on.

        The header ``Idempotency-Key`` makes it safe to send a case again.
        """
        given: Any = self.new_serializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            case, is_new = self.place(given.draft(), key=_idempotency_key(request))
        except KeyTaken:
            raise KeyTakenError(self.get_queryset().model._meta.verbose_name) from None
        shown = self._shown(case)
        headers = {"Location": str(shown["url"]), "Idempotency-Replayed": "false" if is_new else "true"}
        return Response(shown, status=status.HTTP_202_ACCEPTED, headers=headers)

    def _shown(self, case: C) -> Any:
        [case] = with_sagas([case], steps=True)
        return self.with_steps_serializer(case, context=self.get_serializer_context()).data


def _idempotency_key(request: Request) -> str | None:
    # The draft writes it as a quoted string; most clients leave the quotes out.
    key: str = request.headers.get("Idempotency-Key", "").strip().strip('"')
    if len(key) > LONGEST_KEY:
        raise ValidationError(
            {"Idempotency-Key": [f"It has {len(key)} characters; the limit is {LONGEST_KEY}."]}
        )
    return key or None
