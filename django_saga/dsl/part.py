"""A step that stands in no class: a function with its options, and how many of them become a saga's steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias, TypedDict, Unpack, cast

from django_saga.core.limits import Breaker, Rate
from django_saga.core.problem import did_you_mean
from django_saga.core.retry import Retry
from django_saga.core.states import Alternate, ForwardRecovery
from django_saga.core.waits import WaitDefinition
from django_saga.dsl import condition, hooks
from django_saga.dsl.assembly import Assembly
from django_saga.dsl.condition import Condition
from django_saga.dsl.hooks import HookOptions
from django_saga.dsl.mapping import InputMapper, Mapper
from django_saga.dsl.step import Compensation, Duration, Probing, Step, StepFunction
from django_saga.dsl.waits import Waiting

# How ``after=`` names a step: by its function, by its action or part, or by its name.
Earlier: TypeAlias = "StepFunction | Part | str"


class CompensationOptions(TypedDict, total=False):
    """How a compensation is tried."""

    retry: Retry | None
    timeout: Duration | None
    atomic: bool


class ProbeOptions(TypedDict, total=False):
    """How a probe is tried."""

    retry: Retry | None
    timeout: Duration | None


class ActionOptions(CompensationOptions, total=False):
    """Options of a step that belong to what it does, wherever it stands; see ``@step``."""

    deadline: Duration | None
    queue: str | None
    max_concurrency: int | None
    rate_limit: Rate | None
    breaker: Breaker | None
    no_compensation: bool


class StepOptions(ActionOptions, HookOptions, total=False):
    """Options of a step, as ``@step`` takes them, ``compensate``: the function that undoes it, ``probe``:
    the one that finds out whether it had its effect, and its hooks.
    """

    name: str | None
    after: Earlier | Iterable[Earlier] | None
    pivot: bool
    forward_recovery: ForwardRecovery | Alternate | None
    when: Condition | None
    compensate: StepFunction | Part | None
    probe: StepFunction | Part | None


class PartOptions(StepOptions, total=False):
    """Options of a part: those of a step, and ``input``, which makes what the step sees as ``ctx.input``."""

    input: Mapper | None


class Part:
    """A function with options, to be a step of a saga or, as ``compensate=part(...)``, a compensation."""

    def __init__(
        self, function: StepFunction, options: PartOptions, wait: WaitDefinition | None = None
    ) -> None:
        self.function = function
        self.options = options
        self.wait = wait

    def __repr__(self) -> str:
        return f"<part {self.name}>"

    @property
    def name(self) -> str:
        """The name its step has unless ``name=`` says otherwise."""
        return self.options.get("name") or _name_of(self.function)


def part(function: StepFunction | Part | Waiting, /, **options: Unpack[PartOptions]) -> Part:
    """Give ``function`` with the options of a step, for ``SagaBuilder.parallel()`` and ``compensate=``.

    Options of a part or an action stay as they are where none are given here. ``input``: a function of the
    context that makes what the step sees as ``ctx.input``; by default that is the saga's input.
    """
    given: Any = function
    wait = getattr(given, "wait", None)
    if isinstance(given, (Part, Waiting)):
        given, options = given.function, cast("PartOptions", {**given.options, **options})
    if not callable(given):
        raise TypeError(f"A step is a function, not {given!r}.")
    refuse_unknown(f"Step {_name_of(given)}", options, PartOptions)
    return Part(given, options, wait)


def refuse_unknown(what: str, options: Mapping[str, Any], known: Any) -> None:
    """Refuse options that the ``TypedDict`` ``known`` does not have. Raises ``TypeError``."""
    names = known.__annotations__
    if "when" not in names:
        condition.refuse(what, options)
    for option in options.keys() - names:
        raise TypeError(f"{what}: there is no option {option!r}.{did_you_mean(option, names)}")


@dataclass(slots=True)
class _Entry:
    step: Step
    after: list[Any] | None
    before: frozenset[str]
    compensation: Compensation | None
    probe: Probing | None
    mapper: InputMapper | None


@dataclass
class Draft:
    """Steps in the making, in the order written."""

    hooks: dict[tuple[str, str], Any] = field(default_factory=dict)  # by word and step, as given
    _entries: list[_Entry] = field(default_factory=list)

    def add(
        self, given: Part, *, after: Sequence[str], needs: Sequence[str] = (), mapper: Mapper | None = None
    ) -> str:
        """Add a step and give its name; it comes ``after`` these unless it says so itself.

        ``needs``: steps it comes after all the same, as it reads their results.
        """
        options: dict[str, Any] = {**given.options}
        explicit, own_mapper = options.pop("after", None), options.pop("input", None)
        kept = [] if explicit is None else [self._named(each) for each in _as_list(explicit)]
        implied = [*(after if explicit is None else ()), *needs]
        return self._entry(
            given,
            options,
            [*kept, *self._shortest(implied, kept)],
            own_mapper if mapper is None else mapper,
        )

    def _entry(
        self, given: Part, options: dict[str, Any], after: list[Any] | None, mapper: Mapper | None
    ) -> str:
        """Note a step, behind what stands in for it; one that stands in (``after`` is None) has no place."""
        compensate, probe = options.pop("compensate", None), options.pop("probe", None)
        recovery = options.get("forward_recovery")
        if isinstance(recovery, Alternate):
            options["forward_recovery"] = Alternate(self._stand_in(recovery.step, mapper))
        told = hooks.take_out(options)
        kind = partial(Waiting, wait=given.wait) if given.wait else Step
        step: Step = kind(given.function, **options)
        self.hooks.update({(word, step.name): function for word, function in told.items()})
        self._entries.append(
            _Entry(
                step,
                after,
                self._before(after or ()),
                None if compensate is None else _compensation(step, compensate),
                None if probe is None else _probe(step, probe),
                None if mapper is None else InputMapper(step.name, mapper),
            )
        )
        return step.name

    def _stand_in(self, given: Any, mapper: Mapper | None) -> str:
        found = part(given)
        options: dict[str, Any] = {**found.options}
        if options.pop("after", None) is not None:
            raise TypeError(f"{found!r} stands in for a step, where that would have run: it takes no after.")
        return self._entry(found, options, None, options.pop("input", None) or mapper)

    @property
    def ends(self) -> tuple[str, ...]:
        """The steps that none of the others comes after, but those that stand in for others."""
        waited = {name for entry in self._entries for name in entry.before}
        placed = [entry.step.name for entry in self._entries if entry.after is not None]
        return tuple(name for name in placed if name not in waited)

    def assembly(self) -> Assembly:
        """Give the steps as a class's body gives its own."""
        found = Assembly(free=True)
        for entry in self._entries:
            if entry.after is not None:
                entry.step.after = tuple(self._resolved(found, entry.step.name, entry.after))
            found.steps.append((entry.step.name, entry.step))
            if entry.compensation is not None:
                found.compensations[id(entry.step)] = entry.compensation
            if entry.probe is not None:
                found.probes[id(entry.step)] = entry.probe
            if entry.mapper is not None:
                found.mappers[id(entry.step)] = entry.mapper
        found.hooks, wrong = hooks.given_as(self.hooks)
        found.problems += wrong
        return found

    def _named(self, given: Any) -> Any:
        """Give the name of the one step written so far that ``given`` is the function of, else ``given``."""
        names = self._steps_of(given)
        return names[0] if len(names) == 1 else given

    def _steps_of(self, given: Any) -> list[str]:
        function = given.function if isinstance(given, Part) else given
        return [entry.step.name for entry in self._entries if entry.step.function == function]

    def _shortest(self, implied: Iterable[str], kept: Sequence[Any]) -> list[str]:
        """Leave out of ``implied`` what comes before the others anyway; give the rest as written."""
        names = [name for name in dict.fromkeys(implied) if name not in kept]
        place = {entry.step.name: at for at, entry in enumerate(self._entries)}
        others = [self._before([name]) - {name} for name in (*names, *kept) if isinstance(name, str)]
        left = [name for name in names if not any(name in before for before in others)]
        return sorted(left, key=lambda name: place.get(name, -1))

    def _before(self, follows: Iterable[Any]) -> frozenset[str]:
        """Name the steps written so far that come before one that ``follows`` these, themselves included."""
        known = {entry.step.name: entry.before for entry in self._entries}
        named = [name for name in follows if isinstance(name, str)]
        return frozenset(named).union(*(known.get(name, ()) for name in named))

    def _resolved(self, found: Assembly, step: str, after: Iterable[Any]) -> Iterable[Any]:
        for item in after:
            if not isinstance(item, Part) and not callable(item):
                yield item  # a name, or something that the assembly reports
                continue
            names = self._steps_of(item)
            if len(names) > 1:
                found.report(
                    "after-type",
                    step,
                    f"after=[...] holds the function of {len(names)} steps: {', '.join(names)}.",
                    "Give the name of the step that is meant.",
                )
            yield names[0] if names else part(item).name


def _name_of(function: StepFunction) -> str:
    return str(getattr(function, "__name__", repr(function)))


def _compensation(step: Step, given: StepFunction | Part) -> Compensation:
    found = part(given)
    options: dict[str, Any] = {**found.options}
    refuse_unknown(f"The compensation of step {step.name}", options, CompensationOptions)
    return Compensation(step, found.function, **options)


def _probe(step: Step, given: StepFunction | Part) -> Probing:
    found = part(given)
    options: dict[str, Any] = {**found.options}
    refuse_unknown(f"The probe of step {step.name}", options, ProbeOptions)
    return Probing(step, found.function, **options)


def _as_list(after: Any) -> list[Any]:
    # A text is iterable too, but what was meant is one step.
    if isinstance(after, (str, Part, Callable)) or not isinstance(after, Iterable):  # type: ignore[arg-type]
        return [after]
    return list(after)
