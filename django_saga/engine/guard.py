"""The guard of effects in this database: each happens once, is undone once, and never after it was undone.

A step that is not atomic may be slow: its attempt times out, the saga turns back, and the effect arrives
when its compensation has been and gone. Nobody would ever undo it. So effect and compensation meet in one
row, each in a transaction together with what it writes. This is the fence of Seata's TCC mode: *idempotence*
(a row that is there), *empty rollback* (a compensation without effect bars the key) and *anti-suspension* (a
barred key takes no effect). https://seata.apache.org/docs/dev/mode/tcc-mode

Invariant: at most one of "the effect happened and was not undone" and "its compensation is over" is ever
committed for a key. The row's unique key and its lock hold it: whoever comes second waits for the first one's
transaction, and then reads what it committed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import transaction

from django_saga.conf import get_settings
from django_saga.core import encoding
from django_saga.exceptions import EffectRefused, NothingToUndo, SagaError
from django_saga.store import effects
from django_saga.store.effects import Status


def do_once(key: str, effect: Callable[[], Any], *, using: str | None = None, savepoint: bool = True) -> Any:
    """Have ``effect()`` write to the database ``using``, unless it has already; give what it returned then.

    ``key`` is the step's ``ctx.idempotency_key``. What ``effect`` writes and the note that it did are one
    transaction, the one that is open or one of its own; what it returns has to be JSON-able. ``savepoint`` is
    that of ``transaction.atomic``: without one, an error is the end of the block that is open. Raises
    ``EffectRefused`` once the compensation was here, ``ValueError`` for another key, ``EncodingError``.
    """
    using = using or get_settings().database
    stem = _stem(key, "do")
    with transaction.atomic(using=using, savepoint=savepoint):
        if not effects.begin(using, stem, Status.DONE):
            found = effects.locked(using, stem)
            if found.status != Status.DONE:
                raise EffectRefused(
                    f"The effect {key} came after its compensation, and was not carried out: its saga has "
                    "turned back."
                )
            return encoding.decode(_given(found, key))
        text = _encoded(effect(), f"what the effect {key} returned")
        effects.note(using, stem, Status.DONE, text)
        return encoding.decode(text)


def undo_once(key: str, compensation: Callable[[Any], Any], *, using: str | None = None) -> bool:
    """Have ``compensation(result)`` undo the effect of ``do_once``, which returned ``result``; give whether
    it did.

    ``key`` is the compensation's ``ctx.idempotency_key``. When there was no effect, or it was undone before,
    nothing is called; from then on the effect is refused. A ``compensation`` that raises ``NothingToUndo``
    counts as one that did nothing. One transaction, as for ``do_once``. Raises ``ValueError`` for another
    key.
    """
    using = using or get_settings().database
    stem = _stem(key, "undo")
    with transaction.atomic(using=using):
        if effects.begin(using, stem, Status.BARRED):
            return False
        found = effects.locked(using, stem)
        if found.status != Status.DONE:
            return False
        result = encoding.decode(_given(found, key))
        # Before the call, so that one within it finds it undone.
        effects.note(using, stem, Status.UNDONE, None)
        try:
            compensation(result)
        except NothingToUndo:
            return False
        return True


def forget_effects(older_than: timedelta, *, using: str | None = None) -> int:
    """Delete what is known of effects to which nothing happened for ``older_than``; give how many.

    After that they could happen again: choose it longer than any saga runs and any call can be late.
    """
    return effects.forget(using or get_settings().database, older_than)


def _given(found: effects.Effect, key: str) -> str:
    """Give what an effect gave. Raises ``SagaError`` while it has not returned: only its own transaction can
    see that.
    """
    if found.result is None:
        raise SagaError(
            f"{key} is under way in this very transaction, and was asked for again within it. Give a part of "
            'it a key of its own, such as f"{ctx.saga_id}:{ctx.step}.part:do".'
        )
    return found.result


def _stem(key: str, phase: str) -> str:
    stem, sign, end = key.rpartition(":")
    if not sign or not stem or end != phase or len(stem) > 200:
        where = "a step" if phase == "do" else "a compensation"
        raise ValueError(
            f"{phase}_once: {key!r:.250} is no key of {phase}. Call it with ctx.idempotency_key in {where}."
        )
    return stem


def _encoded(value: Any, name: str) -> str:
    settings = get_settings()
    return encoding.encode(
        value,
        max_bytes=settings.max_result_bytes,
        max_depth=settings.max_depth,
        name=name,
        setting="MAX_RESULT_BYTES",
    )
