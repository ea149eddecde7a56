"""Pages of flows in the admin: what came of one beginning, drawn, and the question before it is undone."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.translation import gettext as _

from django_saga import operations
from django_saga.admin import cells
from django_saga.admin.asking import Reason, page
from django_saga.admin.letters import pages_url
from django_saga.admin.message_shapes import shape_of
from django_saga.admin.readonly import ReadOnlyAdmin
from django_saga.core.actions import Action
from django_saga.exceptions import SagaError
from django_saga.models import InboxMessage, OutboxMessage, SagaInstance
from django_saga.observability.flow import Line, Said, flow, tally, walk
from django_saga.operations.access import PERMISSIONS
from django_saga.store.flows import flow_of, is_told

SHOWN, FAIL = "django_saga_flow", "django_saga_fail_flow"
PERMISSION = PERMISSIONS[Action.FAIL_FLOW]
# Further in there is no room: deeper lines are drawn below each other.
_DEEPEST = 12
_MOST = 500


def may_see(ours: ReadOnlyAdmin, request: HttpRequest) -> bool:
    """True for who may see both what was sent and what came."""
    return ours.may_view(request, OutboxMessage) and ours.may_view(request, InboxMessage)


def flow_url(ours: ReadOnlyAdmin, correlation_id: str) -> str:
    """Give the URL of the page that draws a flow."""
    return pages_url(ours, SHOWN, id=correlation_id)


class FlowPages:
    """Views. ``ours`` is the admin under whose URL they are."""

    def __init__(self, ours: ReadOnlyAdmin) -> None:
        self._ours = ours

    def urls(self) -> list[URLPattern]:
        """Give their URLs."""
        view = self._ours.admin_site.admin_view
        return [
            path("flow/", view(self.shown), name=SHOWN),
            path("flow/fail/", view(self.asked), name=FAIL),
        ]

    def shown(self, request: HttpRequest) -> HttpResponse:
        """Draw the flow whose correlation id is asked for."""
        if not may_see(self._ours, request):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        return self._drawn(request, request.GET.get("id", "").strip())

    def _drawn(self, request: HttpRequest, flow_id: str) -> HttpResponse:
        lines = walk(flow(self._ours.using, flow_id)) if flow_id else []
        known_as = flow_of(self._ours.using, flow_id) or ""
        told = bool(lines) and is_told(self._ours.using, known_as)
        may_fail = lines and not told and request.user.has_perm(PERMISSION)
        return page(
            self._ours,
            request,
            "flow",
            _("Flow"),
            saga_id=cells.short(flow_id, 200),
            saga_lines=[self._line(line, known_as) for line in lines[:_MOST]],
            saga_limit=_MOST if len(lines) > _MOST else None,
            saga_tally=[
                (cells.state(shape_of(status), _word(status)), number)
                for status, number in sorted(tally(lines).items())
            ],
            saga_failed=told,
            saga_fail=pages_url(self._ours, FAIL, id=flow_id) if may_fail else "",
            saga_saga=self._saga_url(request, lines),
        )

    def _line(self, line: Line, flow_id: str) -> dict[str, Any]:
        about = line.about
        shown = {"depth": min(line.depth, _DEEPEST), "state": _("came from elsewhere"), "url": ""}
        if about.status:
            shown["state"] = cells.state(shape_of(about.status), _word(about.status))
        if isinstance(about, Said):
            url = self._ours.url(OutboxMessage, about.row) if about.row is not None else ""
            _saga, sign, step = about.by.partition(":")
            step = step.removesuffix(":do").removesuffix(":undo") if sign else about.by
            return shown | {
                "what": cells.short(about.topic, 100),
                # That a flow failed is told for the flow, which is known here.
                "key": cells.short(about.key, 100) if about.key and about.key != flow_id else "",
                "by": cells.short(step, 100),
                "url": url,
            }
        return shown | {
            "consumer": cells.short(about.consumer, 100),
            "url": self._ours.url(InboxMessage, about.id),
            "error": cells.short(about.error, 200),
        }

    def _saga_url(self, request: HttpRequest, lines: list[Line]) -> str:
        saga = next(
            (about.saga for _depth, about, _after in lines if isinstance(about, Said) and about.saga), None
        )
        if saga is None or not self._ours.may_view(request, SagaInstance):
            return ""
        return self._ours.url(SagaInstance, saga)

    # --- the question, and what comes of the answer -----------------------------------------------

    def asked(self, request: HttpRequest) -> HttpResponse:
        """Ask whether the flow is to be undone; a POST is the answer, and does it."""
        if not (may_see(self._ours, request) and request.user.has_perm(PERMISSION)):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        flow_id = request.GET.get("id", "").strip()
        form = Reason(request.POST if request.method == "POST" else None)
        back = flow_url(self._ours, flow_id)
        if request.method == "POST" and form.is_valid():
            self._fail(request, flow_id, form.cleaned_data["why"])
            return HttpResponseRedirect(back)
        lines = walk(flow(self._ours.using, flow_id)) if flow_id else []
        effects = [line.about for line in lines if not isinstance(line.about, Said)]
        return page(
            self._ours,
            request,
            "fail_flow",
            _("Have a flow undone"),
            saga_id=cells.short(flow_id, 200),
            saga_ask=pages_url(self._ours, FAIL, id=flow_id),
            saga_undone=sorted({cells.short(each.consumer, 100) for each in effects if each.can_undo}),
            saga_kept=sorted(
                {
                    cells.short(each.consumer, 100)
                    for each in effects
                    if each.status == "done" and not each.can_undo
                }
            ),
            saga_known=bool(lines),
            saga_back=back,
            form=form,
        )

    def _fail(self, request: HttpRequest, flow_id: str, why: str) -> None:
        try:
            operations.fail_flow(flow_id, by=operations.of_request(request), why=why, using=self._ours.using)
        except SagaError as error:
            messages.error(request, cells.short(str(error), 1000))
        else:
            messages.success(request, _("All consumers are told. Each undoes its part as soon as it hears."))


def _word(status: str) -> str:
    for model in (InboxMessage, OutboxMessage):
        if status in model.Status.values:
            return str(model.Status(status).label)
    return status
