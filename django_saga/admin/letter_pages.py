"""Pages of dead letters in the admin: all of them by error, and the question before something is done."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_saga import operations
from django_saga.admin import cells
from django_saga.admin.asking import Reason, page
from django_saga.admin.letters import (
    DISCARD,
    LIST_URL,
    MOST,
    REQUEUE,
    VERBS,
    ask_url,
    may_act,
    model_of,
    pages_url,
)
from django_saga.admin.readonly import ReadOnlyAdmin
from django_saga.exceptions import SagaError
from django_saga.models import SagaInstance
from django_saga.observability.letters import Letter, dead_letters, dead_ones
from django_saga.store.letters import BOXES, COMPENSATION, STEP

# A group shows that many letters; the others of it are folded away.
_OPEN = 3
_NAMES = {COMPENSATION: gettext_lazy("compensation"), STEP: gettext_lazy("step")}
_TITLES = {
    REQUEUE: gettext_lazy("Requeue dead letters"),
    DISCARD: gettext_lazy("Discard dead letters"),
}


class LetterPages:
    """Views. ``ours`` is the admin under whose URL they are."""

    def __init__(self, ours: ReadOnlyAdmin) -> None:
        self._ours = ours

    def urls(self) -> list[URLPattern]:
        """Give their URLs."""
        view = self._ours.admin_site.admin_view
        return [
            path("dead/", view(self.listed), name=LIST_URL),
            path("dead/requeue/", view(self._asking(REQUEUE)), name="django_saga_requeue_letters"),
            path("dead/discard/", view(self._asking(DISCARD)), name="django_saga_discard_letters"),
        ]

    # --- the list ---------------------------------------------------------------------------------

    def listed(self, request: HttpRequest) -> HttpResponse:
        """Show the dead letters that the user may see, by their errors."""
        boxes = self._seen(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        each = [dead_letters(self._ours.using, box=box, limit=MOST + 1) for box in boxes]
        found = sorted(chain(*each), key=lambda letter: letter.last_at, reverse=True)
        groups: dict[str, list[Letter]] = {}
        for letter in found[:MOST]:
            groups.setdefault(letter.fingerprint, []).append(letter)
        return page(
            self._ours,
            request,
            "dead_letters",
            _("Dead letters"),
            saga_groups=[self._group(request, mark, letters) for mark, letters in groups.items()],
            saga_limit=MOST if len(found) > MOST else None,
        )

    def _group(self, request: HttpRequest, mark: str, letters: Sequence[Letter]) -> dict[str, Any]:
        example = letters[0]
        lines = [self._line(request, letter, example) for letter in letters]
        can = [verb for verb in VERBS if any(verb in line["can"] for line in lines)]
        return {
            "error_class": cells.short(example.error_class, 200) or _("Unknown error"),
            "error": cells.short(example.error, 500),
            "mark": cells.short(mark, 64),
            "count": len(letters),
            "first": cells.when(min(letter.first_at or letter.last_at for letter in letters)),
            "last": cells.when(max(letter.last_at for letter in letters)),
            "open": lines[:_OPEN],
            "folded": lines[_OPEN:],
            # One letter has its own buttons. Without a fingerprint nothing names the group.
            "buttons": self._buttons(can, fingerprint=mark) if mark and len(letters) > 1 else [],
        }

    def _line(self, request: HttpRequest, letter: Letter, example: Letter | None) -> dict[str, Any]:
        can = [action for action in VERBS if may_act(self._ours, request, action, letter.box)]
        # A group is of one class of errors; its head shows the message of the example.
        same = example is not None and letter.error == example.error
        told = letter.error if example is not None else f"{letter.error_class}: {letter.error}"
        return {
            "name": _NAMES.get(letter.box, letter.name),
            "label": f"{_NAMES[letter.box]}: {letter.about}" if letter.box in _NAMES else letter.name,
            "url": self._url(request, letter),
            "about": cells.short(letter.about, 200),
            "consumer": cells.short(letter.consumer, 100),
            "message_id": cells.short(letter.message_id, 200),
            "saga": letter.saga,
            "saga_url": self._ours.url(SagaInstance, letter.saga)
            if letter.saga and self._ours.may_view(request, SagaInstance)
            else "",
            "error": "" if same else cells.short(told, 200),
            "attempts": letter.attempts,
            "last": cells.when(letter.last_at),
            "can": can,
            "buttons": self._buttons(can, letter=letter.name),
            "of_saga": letter.box in _NAMES,
        }

    def _url(self, request: HttpRequest, letter: Letter) -> str:
        model = model_of(letter.box)
        return self._ours.url(model, letter.id) if self._ours.may_view(request, model) else ""

    def _buttons(self, can: Sequence[str], **query: str) -> list[dict[str, Any]]:
        return [{"verb": VERBS[action], "url": ask_url(self._ours, action, **query)} for action in can]

    # --- the question, and what comes of the answer -----------------------------------------------

    def _asking(self, action: str) -> Callable[[HttpRequest], HttpResponse]:
        return lambda request: self.asked(request, action)

    def asked(self, request: HttpRequest, action: str) -> HttpResponse:
        """Ask whether to do ``action`` with the letters named; a POST is the answer, and does it."""
        allowed = [box for box in self._seen(request) if may_act(self._ours, request, action, box)]
        if not allowed:
            raise PermissionDenied
        if request.method == "POST":
            ids = _named(request.POST.getlist("letter"))
        elif request.method in ("GET", "HEAD"):
            ids = _named(request.GET.getlist("letter"))
        else:
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        # All or nothing: what was asked for is not quietly made less.
        if any(box not in allowed for box, _key in ids):
            raise PermissionDenied
        form = Reason(request.POST if request.method == "POST" else None)
        form.fields["why"].required = action == DISCARD
        if request.method == "POST" and ids and form.is_valid():
            self._act(request, action, ids, form.cleaned_data["why"])
            return HttpResponseRedirect(pages_url(self._ours, LIST_URL))
        return self._question(request, action, ids, allowed, form)

    def _question(
        self,
        request: HttpRequest,
        action: str,
        ids: Sequence[tuple[str, int | UUID]],
        allowed: Sequence[str],
        form: Reason,
    ) -> HttpResponse:
        mark = request.GET.get("fingerprint", "")
        found = dead_ones(self._ours.using, ids)
        if mark and not ids:
            each = (dead_letters(self._ours.using, box=box, mark=mark, limit=MOST + 1) for box in allowed)
            found = sorted(chain(*each), key=lambda letter: letter.last_at, reverse=True)
        there = {letter.name for letter in found}
        return page(
            self._ours,
            request,
            "ask_letters",
            str(_TITLES[action]),
            saga_action=action,
            saga_of_sagas=any(letter.box in _NAMES for letter in found),
            saga_verb=VERBS[action],
            saga_letters=[self._line(request, letter, None) for letter in found[:MOST]],
            saga_names=[letter.name for letter in found[:MOST]],
            saga_gone=[name for name in (f"{box}:{key}" for box, key in ids) if name not in there],
            saga_limit=MOST if len(found) > MOST else None,
            saga_back=pages_url(self._ours, LIST_URL),
            form=form,
        )

    def _act(
        self, request: HttpRequest, action: str, ids: Sequence[tuple[str, int | UUID]], why: str
    ) -> None:
        act, told = (
            (operations.requeue, _("Requeued: %(letters)s."))
            if action == REQUEUE
            else (operations.discard, _("Discarded: %(letters)s."))
        )
        done = []
        for box, key in ids:
            letter = f"{box}:{key}"
            try:
                act(letter, by=operations.of_request(request), why=why, using=self._ours.using)
            except SagaError as error:
                messages.error(request, cells.short(str(error), 1000))
            else:
                done.append(letter)
        if done:
            messages.success(request, told % {"letters": ", ".join(done)})

    # --- both -------------------------------------------------------------------------------------

    def _seen(self, request: HttpRequest) -> list[str]:
        """Give the boxes whose letters the user may see. Raises ``PermissionDenied`` when there is none."""
        boxes = [box for box in BOXES if self._ours.may_view(request, model_of(box))]
        if not boxes:
            raise PermissionDenied
        return boxes


def _named(names: Sequence[str]) -> list[tuple[str, int | UUID]]:
    """Read the names of letters, in the order of their ids: the first of a stream is to go first again."""
    if len(names) > MOST:
        raise BadRequest(f"At most {MOST} letters at once.")
    ids: set[tuple[str, int | UUID]] = set()
    for name in names:
        if found := re.fullmatch(r"(outbox|inbox):([0-9]{1,18})", name):
            ids.add((found[1], int(found[2])))
        elif found := re.fullmatch(
            r"(compensation|step):([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})", name
        ):
            ids.add((found[1], UUID(found[2])))
        else:
            raise BadRequest("That names no letter.")
    return sorted(ids)
