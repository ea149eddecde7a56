"""What differs between two definitions of a saga, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from django_saga.core.spans import span

_LENGTHS = frozenset({"timeout", "deadline", "delay", "max_delay", "grace", "period"})
_WORDS = {"undo": "compensation"}
_SAID_OTHERWISE = frozenset({"name", "compensation", "stands_in_for", "steps", "wait_shown"})


class Change(NamedTuple):
    """One difference. ``step`` is empty when it concerns the whole saga; no ``before``: it is new."""

    step: str
    what: str
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        where = f"step {self.step}: " if self.step else ""
        return f"{where}{self.what} {self.before} → {self.after}" if self.before else f"{where}{self.what}"


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Give what became of ``old`` in ``new``, both as ``stored.to_data`` gives them."""
    before = {step["name"]: step for step in old["steps"]}
    after = {step["name"]: step for step in new["steps"]}
    found = list(_options("", old, new, ""))
    found += [Change(name, "removed") for name in before if name not in after]
    for name, step in after.items():
        if name not in before:
            found.append(Change(name, f"added, after {_shown('after', step.get('after', []))}"))
        else:
            found += _options(name, before[name], step, "")
    kept = [name for name in before if name in after]
    if kept != (now := [name for name in after if name in before]):
        found.append(Change("", "order written", ", ".join(kept), ", ".join(now)))
    return found


def _options(step: str, old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[Change]:
    for key in dict.fromkeys([*old, *new]):
        was, now = old.get(key), new.get(key)
        name = f"{path}{key}"
        if was == now or (not path and key in _SAID_OTHERWISE):
            continue
        if key == "undo" and (was is None or now is None):
            function = (was or now or {}).get("function", "")
            yield Change(step, f"compensation {function} {'added' if was is None else 'removed'}")
        elif isinstance(was, Mapping) or isinstance(now, Mapping):
            yield from _options(step, was or {}, now or {}, f"{_WORDS.get(name, name)} ")
        elif key == "after" and sorted(was or []) == sorted(now or []):
            continue
        else:
            yield Change(step, name, _shown(key, was), _shown(key, now))


def _shown(key: str, value: Any) -> str:
    if key == "after":
        return ", ".join(value) or "nothing"
    if value is None:
        return "always" if key == "when" else "default"
    if key in _LENGTHS and isinstance(value, int | float):
        return span(timedelta(seconds=value))
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
