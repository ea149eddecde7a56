"""What pages of the admin that ask before something is done have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from django_saga import operations
from django_saga.admin import cells
from django_saga.admin.readonly import ReadOnlyAdmin
from django_saga.core.actions import Action
from django_saga.exceptions import SagaError
from django_saga.operations.access import PERMISSIONS


class Reason(forms.Form):
    """Why a person does something."""

    why = forms.CharField(
        label=_("Reason"), max_length=1000, widget=forms.Textarea(attrs={"rows": 3, "cols": 60})
    )


class Shown(NamedTuple):
    """How an action is shown: its button, the question's heading and text, what is said when it is done, and
    whether it takes a reason.
    """

    verb: str | Promise
    title: str | Promise
    what: str | Promise
    done: str | Promise
    with_reason: bool = True


class Asking:
    """Views that ask before something is done to a row of ``model``, or to a step of it; a POST is the
    answer.

    ``ours`` is the admin under whose URL they are, ``converter`` that of the rows' ids in a path.
    """

    model: ClassVar[type[Model]]
    url_name: ClassVar[str]
    converter: ClassVar[str]
    shown: ClassVar[Mapping[Action, Shown]]

    def __init__(self, ours: ReadOnlyAdmin) -> None:
        self._ours = ours

    def urls(self) -> list[URLPattern]:
        """Give their URLs."""
        view = self._ours.admin_site.admin_view
        return [path(f"<{self.converter}:pk>/act/<slug:name>/", view(self.asked), name=self.url_name)]

    def buttons(
        self, request: HttpRequest, row: Any, step: str, actions: Iterable[Action]
    ) -> list[dict[str, Any]]:
        """Give the buttons for those of ``actions`` that the user may do."""
        return [
            {"verb": self.shown[action].verb, "url": url}
            for action in actions
            if request.user.has_perm(PERMISSIONS[action]) and (url := self._url(row, action, step))
        ]

    def asked(self, request: HttpRequest, pk: Any, name: str) -> HttpResponse:
        """Ask whether an action is to be done; a POST is the answer, and does it."""
        action = next((each for each in self.shown if each.replace(" ", "-") == name), None)
        if action is None:
            raise Http404
        if not (self._ours.may_view(request, self.model) and request.user.has_perm(PERMISSIONS[action])):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        row = self._ours.get_queryset(request).filter(pk=pk).first()
        if row is None:
            raise Http404
        step = step_asked(request.GET.get("step", ""))
        form = self.form(action, request.POST if request.method == "POST" else None)
        form.fields["why"].required = self.shown[action].with_reason
        back = self._ours.url(self.model, row.pk)
        if request.method == "POST" and form.is_valid():
            self._act(request, row, action, step, form.cleaned_data)
            return HttpResponseRedirect(back)
        about = self.about(row, action, step)
        return page(
            self._ours,
            request,
            "act",
            str(self.shown[action].title),
            saga_what=self.shown[action].what,
            saga_verb=self.shown[action].verb,
            saga_ask=self._url(row, action, step),
            saga_back=back,
            form=form,
            saga_trail=about["saga_label"],
            **about,
        )

    def _url(self, row: Any, action: Action, step: str) -> str:
        given = {"pk": row.pk, "name": action.replace(" ", "-")}
        try:
            url = reverse(f"admin:{self.url_name}", kwargs=given, current_app=self._ours.admin_site.name)
        except NoReverseMatch:
            return ""  # a site has replaced the admin that has the pages
        return self._ours.with_query(url, **({"step": step} if step else {}))

    def _act(self, request: HttpRequest, row: Any, action: Action, step: str, given: dict[str, Any]) -> None:
        told = {"by": operations.of_request(request), "why": given.pop("why"), "using": self._ours.using}
        try:
            self.carry_out(row, action, step, **given, **told)
        except SagaError as error:
            messages.error(request, cells.short(str(error), 1000))
        else:
            messages.success(request, str(self.shown[action].done))

    # --- what each has of its own -----------------------------------------------------------------

    def form(self, action: Action, data: Any) -> forms.Form:
        """Give the form that an action asks to be filled in; it has a field ``why``."""
        return Reason(data)

    def about(self, row: Any, action: Action, step: str) -> dict[str, Any]:
        """Give what the question says of the row, and whether it takes the action as it stands."""
        raise NotImplementedError

    def carry_out(self, row: Any, action: Action, step: str, **given: Any) -> None:
        """Do it; ``given`` is what was filled in, and what all operations take."""
        raise NotImplementedError


def step_asked(name: str) -> str:
    """Give the name of a step that a URL gives. Raises ``Http404`` for what no database can look for."""
    if "\0" in name:
        raise Http404
    return name


def page(
    ours: ReadOnlyAdmin, request: HttpRequest, template: str, title: str, **context: Any
) -> HttpResponse:
    """Give a page of the app's own under the admin ``ours``."""
    site = ours.admin_site
    request.current_app = site.name
    shared = {"title": title, "media": ours.media, "opts": ours.opts, "now": timezone.now()}
    return TemplateResponse(
        request, f"admin/django_saga/{template}.html", {**site.each_context(request), **shared, **context}
    )
