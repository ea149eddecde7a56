"""``manage.py saga_simulate``: what a saga would do, and what would be undone wherever it fails."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser, no_translations
from django.db import DatabaseError

from django_saga.core import simulation
from django_saga.core.definition import SagaDefinition
from django_saga.core.plain import plain
from django_saga.core.problem import did_you_mean
from django_saga.core.simulation import Failure, Path, UndoPlan
from django_saga.core.spans import parse_span, span
from django_saga.management.definition_lookup import the_definition
from django_saga.management.json_output import document
from django_saga.management.saga_command import SagaCommand
from django_saga.management.terminal import Terminal, colour_wanted
from django_saga.management.undo_lines import names, plan_lines, waves
from django_saga.observability import durations


class Command(SagaCommand):
    help = (
        "Show a saga's layers, its critical path, and what would be undone wherever it fails. Runs nothing."
    )
    epilog = """
How long a step takes is what --duration says, else the median of its last successful attempts in the
database, else its own timeout. Where nothing is known of any step, steps are counted.
"""
    database_help = "where versions that are no longer in code, and times, are looked up"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the saga's name")
        parser.add_argument("--version", type=_version, metavar="N", help="its version (default: the newest)")
        parser.add_argument(
            "--duration",
            action="append",
            default=[],
            type=_duration,
            metavar="STEP=SPAN",
            help="how long a step takes: charge=200ms, ship=2h; may be given several times",
        )
        parser.add_argument("--json", action="store_true", help="one JSON document instead of text")
        super().add_arguments(parser)

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        using = options["database"]
        definition = the_definition(using, options["name"], options["version"])
        took = _durations(using, definition, dict(options["duration"]))
        known = {step: length for step, (length, _) in took.items()}
        path = simulation.critical_path(definition, known)
        failures = simulation.failures(definition, known)
        terminal = Terminal(self.stdout, colour=colour_wanted(options))
        if options["json"]:
            terminal.write(document(_as_json(definition, took, path, failures)))
            return
        terminal.write("\n".join(_lines(definition, took, path, failures, terminal)))


Took = Mapping[str, tuple[timedelta, str]]


def _durations(
    using: str, definition: SagaDefinition, given: Mapping[str, timedelta]
) -> dict[str, tuple[timedelta, str]]:
    """Give how long each step takes, and how that is known."""
    for name in given:
        if name not in definition.by_name:
            close = did_you_mean(name, definition.by_name)
            steps = ", ".join(definition.by_name)
            raise CommandError(
                f"--duration: {definition} has no step {name!r}.{close} Its steps are {steps}."
            )
    try:
        measured = durations.medians(using, definition.name, definition.version)
    except DatabaseError:
        measured = {}  # not migrated, or out of reach
    found: dict[str, tuple[timedelta, str]] = {}
    for step in definition.steps:
        if step.name in given:
            found[step.name] = given[step.name], "given"
        elif step.name in measured:
            found[step.name] = measured[step.name], "median"
        elif step.timeout is not None:
            found[step.name] = step.timeout, "timeout"
    return found


# --- for people -----------------------------------------------------------------------------------


def _lines(
    definition: SagaDefinition, took: Took, path: Path, failures: list[Failure], terminal: Terminal
) -> Iterator[str]:
    layers = simulation.layers(definition)
    count, width = len(definition.steps), simulation.width(definition)
    yield terminal.strong(
        f"{plain(str(definition))}: {_many(count, 'step')} in {_many(len(layers), 'layer')}, "
        f"at most {width} at the same time"
    )
    yield ""
    yield terminal.strong("Layers")
    for number, layer in enumerate(layers, start=1):
        yield f"  {number:>3}  {', '.join(_with_stand_ins(definition, step) for step in layer)}"
    yield ""
    yield terminal.strong("Critical path")
    yield f"  {' → '.join(map(plain, path.steps))}"
    yield from (f"  {line}" for line in _length(definition, took, path))
    yield ""
    yield terminal.strong("If a step fails for good")
    for failure in failures:
        yield from _failure(definition, failure)


def _length(definition: SagaDefinition, took: Took, path: Path) -> Iterator[str]:
    if not took:
        yield f"{_many(len(path.steps), 'step')}; nothing is known of how long they take"
        return
    parts = [
        f"{plain(step)} {span(took[step][0])} ({took[step][1]})" if step in took else f"{plain(step)} unknown"
        for step in path.steps
    ]
    yield f"{span(path.length)}: {', '.join(parts)}"
    if definition.deadline is not None and definition.deadline <= path.length:
        yield f"That is longer than the saga's deadline of {span(definition.deadline)}."


def _failure(definition: SagaDefinition, failure: Failure) -> Iterator[str]:
    plan = failure.plan
    yield f"  {plain(failure.step)}"
    before = [step for step in failure.succeeded if step not in plan.in_flight]
    if before:
        yield f"    has run    {names(before)}"
    yield from plan_lines(definition, plan)
    doubtful = failure.doubtful
    if (doubtful.waves, doubtful.kept, doubtful.status) != (plan.waves, plan.kept, plan.status):
        stays = f"; {names(doubtful.kept)} may stay" if doubtful.kept != plan.kept else ""
        ends = f"; ends {doubtful.status}" if doubtful.status is not plan.status else ""
        yield f"    in doubt   {waves(definition, doubtful)}{stays}{ends}"
    yield f"    ends       {plan.status.value}"


def _with_stand_ins(definition: SagaDefinition, step: str) -> str:
    others = definition.stand_ins[step]
    pivot = " [pivot]" if step == definition.pivot else ""
    when = definition[step].when
    pivot += f" [when {plain(when)}]" if when else ""
    return plain(step) + pivot + (f" (else {names(others)})" if others else "")


def _many(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


# --- for programs ---------------------------------------------------------------------------------


def _as_json(definition: SagaDefinition, took: Took, path: Path, failures: list[Failure]) -> dict[str, Any]:
    return {
        "saga": definition.name,
        "version": definition.version,
        "layers": simulation.layers(definition),
        "conditions": {step.name: step.when for step in definition.steps if step.when},
        "width": simulation.width(definition),
        "critical_path": {
            "steps": list(path.steps),
            "seconds": path.length.total_seconds() if took else None,
        },
        "durations": {
            step: {"seconds": length.total_seconds(), "from": source}
            for step, (length, source) in took.items()
        },
        "failures": [
            {
                "step": failure.step,
                "succeeded": list(failure.succeeded),
                "in_flight": list(failure.plan.in_flight),
                **_plan_json(failure.plan),
                "in_doubt": _plan_json(failure.doubtful),
            }
            for failure in failures
        ],
    }


def _plan_json(plan: UndoPlan) -> dict[str, Any]:
    return {
        "undone": [list(wave) for wave in plan.waves],
        "not_undone": list(plan.kept),
        "ends": plan.status.value,
    }


# --- arguments ------------------------------------------------------------------------------------


def _version(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not 1 or more")
    return value


def _duration(text: str) -> tuple[str, timedelta]:
    step, _, length = text.partition("=")
    try:
        return step, parse_span(length)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not STEP=SPAN: {error}") from None
