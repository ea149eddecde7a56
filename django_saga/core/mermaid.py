"""A saga's graph as Mermaid text. No label holds what Mermaid or a browser takes for more."""

from __future__ import annotations

import re
from collections.abc import Sequence

from django_saga.core.outline import Node

_LOCKS = {"refuse": "locks - or is refused", "wait": "locks - or waits"}


def flowchart(title: str, nodes: Sequence[Node], lock_policy: str = "") -> str:
    """Draw steps and what they wait for; compensations are round and dashed, atomic steps double-sided, the
    locks that a saga begins with a hexagon, steps that wait have round ends, those that start sagas the
    double sides of a subroutine. What stands in for a step hangs on it by a dashed line, and so does a step
    with a condition on those before it.
    """
    ids = {node.name: f"s{number}" for number, node in enumerate(nodes, start=1)}
    lines = [f"%% {label(title)}", "flowchart TD"]
    if lock_policy:
        lines.append(f'    locks{{{{"{label(_LOCKS.get(lock_policy, lock_policy))}"}}}}')
    for node in nodes:
        words = label(node.name) + (" - atomic" if node.atomic and not node.starts else "")
        words += " - pivot" if node.pivot else ""
        words += f" - when {label(node.when)}" if node.when else ""
        words += f" - {label(node.limits)}" if node.limits else ""
        words += f" - {label(node.wait)}" if node.wait else ""
        box = f'[["{words}"]]' if node.atomic else f'(["{words}"])' if node.wait else f'["{words}"]'
        lines.append(f"    {ids[node.name]}{box}")
    for node in nodes:
        if node.stands_in_for and node.stands_in_for in ids:
            lines.append(f"    {ids[node.stands_in_for]} -. if it fails .-> {ids[node.name]}")
            continue
        if lock_policy and not node.after:
            lines.append(f"    locks --> {ids[node.name]}")
        arrow = "-.->" if node.when else "-->"
        lines += [f"    {ids[name]} {arrow} {ids[node.name]}" for name in node.after if name in ids]
    undone = [node for node in nodes if node.compensation]
    for node in undone:
        undo = ids[node.name].replace("s", "u")
        lines.append(f'    {undo}("{label(node.compensation)}")')
        lines.append(f"    {ids[node.name]} -. undo .-> {undo}")
    if undone:
        lines.append("    classDef undo stroke-dasharray: 4 3")
        lines.append(f"    class {','.join(ids[node.name].replace('s', 'u') for node in undone)} undo")
    return "\n".join(lines) + "\n"


def label(text: str, limit: int = 100) -> str:
    """Reduce ``text`` to letters, digits, space, ``_``, ``.`` and ``-``."""
    return re.sub(r"[^A-Za-z0-9 _.-]", "_", text)[:limit]
