"""Pages of approvals in the admin: what waits for the user's own decision, and the decision."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_saga import operations
from django_saga.admin import cells
from django_saga.admin.asking import Reason, page, step_asked
from django_saga.admin.readonly import ReadOnlyAdmin
from django_saga.exceptions import InvalidForm, SagaError
from django_saga.models import SagaInstance
from django_saga.observability.approvals import Asked, approvals, asked_of

LIST_URL, DECIDE = "django_saga_approvals", "django_saga_decide"
_MOST = 300


class _Json(forms.Form):
    """For what is no form of Django's: its data as JSON."""

    filled = forms.CharField(
        label=gettext_lazy("What is asked for, as JSON"),
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 5, "cols": 60, "spellcheck": "false"}),
    )

    def clean_filled(self) -> Any:
        try:
            return json.loads(self.cleaned_data["filled"])
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(_("This is no JSON: %(error)s") % {"error": error}) from None


class ApprovalPages:
    """Views. ``ours`` is the admin under whose URL they are. Who may decide is said by each step itself."""

    def __init__(self, ours: ReadOnlyAdmin) -> None:
        self._ours = ours

    def urls(self) -> list[URLPattern]:
        """Give their URLs."""
        view = self._ours.admin_site.admin_view
        return [
            path("waiting/", view(self.listed), name=LIST_URL),
            path("waiting/<uuid:saga_id>/<str:step>/", view(self.asked), name=DECIDE),
        ]

    def listed(self, request: HttpRequest) -> HttpResponse:
        """Show what waits for the user's decision, the oldest first."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        found = approvals(request.user, limit=_MOST + 1, using=self._ours.using)
        return page(
            self._ours,
            request,
            "approvals",
            _("Approvals that wait for you"),
            saga_lines=[self._line(request, each) for each in found[:_MOST]],
            saga_limit=_MOST if len(found) > _MOST else None,
        )

    def _line(self, request: HttpRequest, each: Asked) -> dict[str, Any]:
        given = {"saga_id": each.saga_id, "step": each.step}
        return {
            "saga": cells.short(each.saga, 100),
            "id": each.saga_id,
            "saga_url": self._ours.url(SagaInstance, each.saga_id)
            if self._ours.may_view(request, SagaInstance)
            else "",
            "step": cells.short(each.step, 100),
            "since": cells.when(each.since),
            "until": cells.when(each.until) if each.until else cells.NOTHING,
            "url": self._reverse(DECIDE, **given),
        }

    def _reverse(self, name: str, **given: Any) -> str:
        return reverse(f"admin:{name}", kwargs=given, current_app=self._ours.admin_site.name)

    # --- one decision -----------------------------------------------------------------------------

    def asked(self, request: HttpRequest, saga_id: UUID, step: str) -> HttpResponse:
        """Show what is to be decided; a POST is the decision."""
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        each = asked_of(request.user, saga_id, step_asked(step), using=self._ours.using)
        data = request.POST if request.method == "POST" else None
        rejected = data is not None and data.get("decision") == "reject"
        # What is filled in to approve need not be to reject.
        form = _form_of(each, None if rejected else data)
        # A prefix: the project's form may have a field of that name.
        reason = Reason(data, prefix="saga")
        reason.fields["why"].required = rejected
        if data is not None and reason.is_valid() and (form is None or rejected or form.is_valid()):
            told = {"why": reason.cleaned_data["why"], "by": operations.of_request(request)}
            if rejected:
                act, done = partial(operations.reject, saga_id, step, **told), _("Rejected.")
            else:
                filled = form.cleaned_data["filled"] if isinstance(form, _Json) else form and form.data
                act, done = partial(operations.approve, saga_id, step, data=filled, **told), _("Approved.")
            if self._is_over(request, each, act, done):
                return HttpResponseRedirect(self._reverse(LIST_URL))
        return page(
            self._ours,
            request,
            "decide",
            _("Decide"),
            saga_line=self._line(request, each) if each else None,
            saga_input=self._input(request, each) if each else "",
            saga_form=form,
            saga_ask=self._reverse(DECIDE, saga_id=saga_id, step=step),
            saga_back=self._reverse(LIST_URL),
            saga_trail=_("Approvals that wait for you"),
            form=reason,
        )

    def _input(self, request: HttpRequest, each: Asked) -> SafeString | str:
        if not self._ours.may_view(request, SagaInstance):
            return ""
        saga = SagaInstance.objects.using(self._ours.using).only("input").get(pk=each.saga_id)
        return "" if saga.input is None else cells.data(saga.input)

    def _is_over(self, request: HttpRequest, each: Asked | None, act: Callable[..., None], done: str) -> bool:
        """Decide, and say what came of it; False when what was filled in does not fit."""
        try:
            act(using=self._ours.using)
        except InvalidForm as error:
            # Of what does not wait any more the form was not shown.
            gone = _("It does not wait for your decision any more.")
            messages.error(request, cells.short(str(error), 1000) if each else gone)
            return each is None
        except SagaError as error:
            messages.error(request, cells.short(str(error), 1000))
        else:
            messages.success(request, done)
        return True


def _form_of(each: Asked | None, data: Any) -> Any:
    if each is None or each.form is None:
        return None
    is_django = isinstance(each.form, type) and issubclass(each.form, forms.BaseForm)
    return each.form(data=data) if is_django else _Json(data)
