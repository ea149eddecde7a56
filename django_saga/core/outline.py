"""A saga's graph for people: from the definition in code, or from what the database kept of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

from django_saga.core.definition import SagaDefinition
from django_saga.core.states import LockPolicy
from django_saga.core.waits import WaitKind


class Node(NamedTuple):
    """A step: what it waits for, and the name of its compensation's function (empty: it has none)."""

    name: str
    after: tuple[str, ...] = ()
    atomic: bool = False
    compensation: str = ""
    queue: str = "default"
    pivot: bool = False
    stands_in_for: str = ""
    limits: str = ""
    wait: str = ""  # what it waits for, if it does nothing itself
    when: str = ""
    starts: str = ""  # the saga that does its work


def of_definition(definition: SagaDefinition) -> list[Node]:
    """Give the steps of ``definition`` in the order written."""
    return [
        Node(
            step.name,
            tuple(step.after),
            step.atomic,
            step.undo.function if step.undo else "",
            step.queue,
            step.pivot,
            definition.mains.get(step.name, ""),
            str(step.limits),
            str(step.wait or ""),
            step.when,
            step.wait.name if step.wait and step.wait.has_children else "",
        )
        for step in definition.steps
    ]


def of_stored(graph: Any) -> list[Node]:
    """Give the steps of a definition's row; what does not look like one is left out."""
    steps = graph.get("steps") if isinstance(graph, Mapping) else None
    if not isinstance(steps, list):
        return []
    return [_node(step) for step in steps if isinstance(step, Mapping) and isinstance(step.get("name"), str)]


def of_saga(graph: Any, own: Any) -> list[Node]:
    """Give the steps of a saga: its definition's, or those of its ``own`` graph if it was composed."""
    nodes = of_stored(graph)
    if own is None:
        return nodes
    actions = {node.name: node for node in nodes}
    steps = own.get("steps") if isinstance(own, Mapping) else None
    used = {
        step.get("name"): actions.get(str(step.get("action")))
        for step in (steps if isinstance(steps, list) else ())
        if isinstance(step, Mapping)
    }
    return [
        (used.get(node.name) or node)._replace(
            name=node.name, after=node.after, when="condition" if node.when else ""
        )
        for node in of_stored(own)
    ]


def lock_policy(given: SagaDefinition | Any) -> str:
    """Give the lock policy of a definition, or of its row's graph; empty when its sagas take no locks."""
    if isinstance(given, SagaDefinition):
        return str(given.lock_policy) if given.locks else ""
    if not isinstance(given, Mapping) or given.get("locks") is not True:
        return ""
    return str(given.get("lock_policy") or LockPolicy.REFUSE)


def ordered(nodes: Iterable[Node]) -> list[Node]:
    """Give ``nodes`` each behind those it waits for, else as written; in a circle, as written altogether."""
    given = {node.name: node for node in nodes}
    sorter = TopologicalSorter({node.name: [n for n in node.after if n in given] for node in given.values()})
    try:
        sorter.prepare()
    except CycleError:
        return list(given.values())
    place = {name: number for number, name in enumerate(given)}
    done: list[Node] = []
    ready: set[str] = set()
    while sorter.is_active():
        ready.update(sorter.get_ready())
        first = min(ready, key=place.__getitem__)
        ready.discard(first)
        done.append(given[first])
        sorter.done(first)
    return done


def _started_by(step: Mapping[str, Any]) -> str:
    wait = step.get("wait")
    starts = isinstance(wait, Mapping) and wait.get("kind") in (WaitKind.CHILD, WaitKind.EACH)
    return str(wait.get("name") or "") if isinstance(wait, Mapping) and starts else ""


def _node(step: Mapping[str, Any]) -> Node:
    after = step.get("after")
    return Node(
        step["name"],
        tuple(str(name) for name in after) if isinstance(after, list) else (),
        step.get("atomic") is True,
        str(step.get("compensation") or ""),
        str(step.get("queue") or "default"),
        step.get("pivot") is True,
        str(step.get("stands_in_for") or ""),
        str(step.get("limits_shown") or ""),
        str(step.get("wait_shown") or ""),
        str(step.get("when") or ""),
        _started_by(step),
    )
