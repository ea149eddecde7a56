"""What pages of the admin that ask before something is done have in common."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_saga.admin.readonly import ReadOnlyAdmin


class Reason(forms.Form):
    """Why a person does something."""

    why = forms.CharField(
        label=_("Reason"), max_length=1000, widget=forms.Textarea(attrs={"rows": 3, "cols": 60})
    )


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
