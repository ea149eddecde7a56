"""The home page: how all cases get on, the orders first of all, as of the moment it was asked for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from django_saga.models import SagaDefinition, SagaWorker
from example_project.cases.progress import progress, with_sagas
from example_project.domains import OTHERS, Domain
from example_project.shop.models import Order
from example_project.shop.sagas import OrderSaga

LATEST = 25
REFRESH = timedelta(seconds=2)
# A worker reports several times within it.
SEEN_WITHIN = timedelta(minutes=1)


@require_safe
@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """Show the counts and the latest orders; the page asks for itself again unless told to hold still."""
    now = progress(Order, OrderSaga.name)
    is_still = request.GET.get("hold") == "1"
    workers = SagaWorker.objects.filter(seen_at__gte=timezone.now() - SEEN_WITHIN).exclude(
        state=SagaWorker.State.STOPPED
    )
    context = {
        "progress": now,
        "orders": with_sagas(Order.objects.select_related("product")[:LATEST]),
        "others": [_summary(domain) for domain in OTHERS],
        "is_still": is_still,
        "refresh_seconds": int(REFRESH.total_seconds()),
        "has_worker": workers.exists(),
    }
    return render(request, "shop/home.html", context)


def _summary(domain: Domain) -> dict[str, Any]:
    books = domain.books
    model = books.cases._meta
    return {
        "name": domain.cases,
        "progress": progress(books.cases, books.saga),
        "cases": reverse(f"admin:{model.app_label}_{model.model_name}_changelist"),
        "api": reverse(f"{model.model_name}-list"),
        "definition": SagaDefinition.objects.filter(name=books.saga).order_by("version").last(),
    }
