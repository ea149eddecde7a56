"""What a saga costs in a test: ``python -m benchmarks.lab``. On SQLite in memory, so no server is needed."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable

SAGAS = 300


def main() -> None:
    import django
    from django.conf import settings
    from django.core.management import call_command

    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["django_saga"],
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", verbosity=0)

    from benchmarks.sagas import OrderSaga
    from django_saga.testing import SagaLab, assert_completed, saga_matrix

    def alone() -> None:
        with SagaLab() as lab:
            saga = OrderSaga.start({"order": 1})
            lab.run()
            assert_completed(saga)

    def whole_matrix() -> None:
        for case in cases:
            with case.run({"order": 1}):
                pass

    cases = saga_matrix(OrderSaga)
    print(f"Python {platform.python_version()}, Django {django.get_version()}, {platform.machine()}")
    print(f"one order saga in a SagaLab, start to rest: {_median(alone, SAGAS):.1f} ms")
    print(f"its matrix of {len(cases)} cases: {_median(whole_matrix, 10):.0f} ms")


def _median(call: Callable[[], None], times: int) -> float:
    """Give how long ``call`` takes, in milliseconds."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


if __name__ == "__main__":
    main()
