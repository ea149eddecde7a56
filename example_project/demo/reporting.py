"""What the demo says at its end: how the cases of each domain ended, and whether the books agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from example_project.services.faults import Fault

MOST_PROBLEMS_SHOWN = 20
ENDS = ("completed", "compensated", "stuck")
FAULTS = {
    Fault.UNAVAILABLE: "answered 503",
    Fault.DROPPED: "cut off after the effect",
    Fault.SLOW_BEFORE: "too slow",
    Fault.SLOW_AFTER: "too slow",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """How the cases of one domain ended, and what its books promise if they agree."""

    cases: str
    ends: Mapping[str, int]
    promise: str

    @property
    def total(self) -> int:
        return sum(self.ends.values())

    def __str__(self) -> str:
        others = [end for end in self.ends if end not in ENDS]
        counts = ", ".join(f"{self.ends.get(end, 0)} {end}" for end in (*ENDS, *others))
        return f"{self.total} {self.cases}: {counts}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How all cases ended, and what does not fit."""

    accounts: Sequence[Account]
    ledgers: Sequence[dict[str, Any]]
    problems: Sequence[str]
    took: timedelta

    @property
    def is_right(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        placed = [account for account in self.accounts if account.total]
        total, seconds = sum(account.total for account in placed), self.took.total_seconds()
        lines = [f"{total} sagas in {seconds:.1f} s ({total / seconds:.1f} sagas/s)"]
        lines += [f"  {account}" for account in placed]
        lines += ["", *(_ledger_line(ledger) for ledger in self.ledgers), ""]
        if self.is_right:
            lines.append(
                "The books agree: no idempotency key had its effect twice, nothing is left of what was"
            )
            lines.append("compensated, and:")
            lines += [f"  {account.promise}" for account in placed]
        else:
            lines.append(f"The books DO NOT agree, {len(self.problems)} problems:")
            lines += [f"  {problem}" for problem in self.problems[:MOST_PROBLEMS_SHOWN]]
        if stuck := sum(account.ends.get("stuck", 0) for account in placed):
            lines.append(f"{stuck} sagas are stuck and wait for a person; the admin shows them and why.")
        return "\n".join(lines)


def _ledger_line(ledger: dict[str, Any]) -> str:
    effects: dict[str, int] = {}
    for row in ledger["effects"]:
        effects[row["action"]] = effects.get(row["action"], 0) + 1
    faults: dict[str, int] = {}
    for fault, name in FAULTS.items():
        faults[name] = faults.get(name, 0) + ledger["faults"].get(fault, 0)
    wrong = ", ".join(f"{count} {fault}" for fault, count in faults.items() if count)
    done = ", ".join(f"{count} {action}" for action, count in effects.items())
    return f"{ledger['service']}: {ledger['calls']} calls ({wrong or 'no faults'}), {done or 'no effects'}"
