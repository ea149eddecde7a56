"""How values look in the admin's lists and pages. Everything is escaped; no stored text is trusted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from django_saga.core import shapes
from django_saga.core.plain import one_line, plain
from django_saga.core.shapes import Shape
from django_saga.core.spans import span
from django_saga.models import SagaInstance, SagaStep

NOTHING = "-"
# A page shows that much of one value; the database holds up to a few hundred kilobytes of each.
_SHOWN = 20_000


def state(shape: Shape, word: object) -> SafeString:
    """Give a status: its sign, coloured, beside its word."""
    return format_html(
        '<span class="saga-state saga-{}"><span aria-hidden="true">{}</span> {}</span>',
        shape.tone,
        shape.sign,
        word,
    )


def saga_state(saga: SagaInstance) -> SafeString:
    """Give the status of ``saga``."""
    return state(shapes.of_saga(saga.status), saga.get_status_display())


def step_state(step: SagaStep) -> SafeString:
    """Give the status of ``step``."""
    return state(shapes.of_step(step.status), step.get_status_display())


def saga_name(saga: SagaInstance, name: object) -> SafeString:
    """Give ``name`` and both ends of the id of ``saga``; its title has all of it."""
    text = str(saga.pk)
    return format_html(
        '{} <span class="saga-id" title="{}">{}…{}</span>', short(str(name)), text, text[:8], text[-6:]
    )


def when(at: datetime | None, now: datetime | None = None) -> SafeString | str:
    """Give a time to the second, and how long ago that was."""
    if at is None:
        return NOTHING
    now = now or timezone.now()
    local = timezone.localtime(at)
    if at <= now:
        relative = _("%(span)s ago") % {"span": span(now - at)}
    else:
        relative = _("in %(span)s") % {"span": span(at - now)}
    return format_html(
        '<time class="saga-time" datetime="{}" title="{}">{}</time> <span class="quiet">{}</span>',
        at.isoformat(),
        local.isoformat(sep=" "),
        local.strftime("%Y-%m-%d %H:%M:%S"),
        relative,
    )


def length(value: timedelta | None) -> str:
    """Give a length of time."""
    return NOTHING if value is None else span(value)


def link(url: str, text: object) -> SafeString:
    """Give a link."""
    return format_html('<a href="{}">{}</a>', url, text)


def short(text: str, limit: int = 120) -> str:
    """Give stored text on one line; its size is limited."""
    return one_line(text, limit)


def block(text: str) -> SafeString | str:
    """Give stored text of many lines as it is, harmless."""
    if not text:
        return NOTHING
    return format_html('<pre class="saga-text">{}</pre>', _cut(plain(text, lines=True)))


def data(value: Any) -> SafeString | str:
    """Give stored JSON, indented."""
    return NOTHING if value is None else block(json.dumps(value, ensure_ascii=False, indent=2))


def lines(values: Iterable[SafeString | str]) -> SafeString | str:
    """Give ``values`` one beneath the other."""
    return format_html_join("", "<div>{}</div>", ((value,) for value in values)) or NOTHING


def words(values: Any) -> SafeString | str:
    """Give a stored list of words."""
    if not isinstance(values, list):
        return short(str(values))
    return format_html_join(", ", "{}", ((short(str(value)),) for value in values))


def _cut(text: str) -> str:
    more = len(text) - _SHOWN
    if more <= 0:
        return text
    return f"{text[:_SHOWN]}\n… " + _("%(number)s more characters") % {"number": f"{more:,}"}
