"""The class that users subclass to write a saga."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from asgiref.sync import sync_to_async

from django_saga import ports
from django_saga.core.limits import Rate
from django_saga.core.states import CompensationPolicy, FailurePolicy, Grace, LockPolicy
from django_saga.dsl.assembly import BODY, Assembly, Body, assemble
from django_saga.dsl.handle import Handle
from django_saga.dsl.program import Program
from django_saga.dsl.registry import registry
from django_saga.exceptions import InvalidDefinition


class SagaType(type):
    """Makes the definition of a saga class as the class is created, and registers it."""

    @classmethod
    def __prepare__(mcs, name: str, bases: tuple[type, ...], /, **options: Any) -> Body:
        return Body()

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], /) -> SagaType:
        cls = super().__new__(mcs, name, bases, dict(namespace))
        if isinstance(namespace, Body):
            setattr(cls, BODY, tuple(namespace.written))
        if bases and not namespace.get("abstract"):
            _define(cls)
        return cls


class Saga(metaclass=SagaType):
    """A business transaction in steps: carried to its end, or undone.

    Subclasses set what they need of the attributes below and decorate methods with ``@step``. One instance
    serves all sagas of the class, in all threads: keep no state in ``self``. A class with ``abstract = True``
    is no saga itself; its subclasses have its steps.
    """

    name: ClassVar[str] = ""  # by default the class's name: OrderSaga is "order"
    version: ClassVar[int] = 1
    input: ClassVar[Any] = None  # dataclass, pydantic model or serializer class; None: any JSON
    output: ClassVar[Any] = None
    queue: ClassVar[str] = "default"  # of steps that name none
    max_concurrency: ClassVar[int | None] = None  # attempts of its steps under way, in all workers together
    rate_limit: ClassVar[Rate | None] = None  # attempts of its steps that begin in a length of time
    priority: ClassVar[int] = 0  # of sagas whose start() gives none
    deadline: ClassVar[float | timedelta | None] = None  # of the whole saga: when passed, it turns back
    failure_policy: ClassVar[FailurePolicy | Grace] = FailurePolicy.FAIL_FAST
    compensation_policy: ClassVar[CompensationPolicy] = CompensationPolicy.CONTINUE
    # A function of the input that gives what the saga keeps others from until it ends: ["order:42"].
    locks: ClassVar[Any] = None
    lock_policy: ClassVar[LockPolicy] = LockPolicy.REFUSE
    abstract: ClassVar[bool] = False
    # Hooks: methods that are told, with a ``Transition``, after the saga
    on_enter: ClassVar[Any] = None  # was started
    on_success: ClassVar[Any] = None  # completed
    on_failure: ClassVar[Any] = None  # turned back
    on_compensate: ClassVar[Any] = None  # was undone
    on_stuck: ClassVar[Any] = None  # got stuck
    on_exit: ClassVar[Any] = None  # came to rest in any of these ways
    program: ClassVar[Program]  # abstract classes have none

    @classmethod
    def start(
        cls,
        input: Any = None,
        *,
        idempotency_key: str | None = None,
        run_at: datetime | timedelta | None = None,
        priority: int | None = None,
        using: str | None = None,
    ) -> Handle:
        """Start a saga in the current transaction; workers carry it on once that commits.

        The same ``idempotency_key`` with the same input gives the same saga. ``run_at``: it begins then, or
        after so long; its deadline counts from there. ``priority``, from 0 to 100: one that has to wait for
        workers goes before others as though it had waited a minute longer for each. ``using`` is a database
        alias, by default the setting ``DATABASE``. Raises ``InvalidInput``, ``IdempotencyConflict``,
        ``TargetLocked`` or
        ``InvalidDefinition``.
        """
        program = cls._startable()
        text = program.encode_input(input)
        handle: Handle = ports.engine().start(
            program, text, idempotency_key=idempotency_key, run_at=run_at, priority=priority, using=using
        )
        return handle

    @classmethod
    def bulk_start(
        cls,
        inputs: Iterable[Any],
        *,
        run_at: datetime | timedelta | None = None,
        priority: int | None = None,
        using: str | None = None,
    ) -> list[Handle]:
        """Start a saga for each input, all in one transaction. Raises as ``start``; then none is started."""
        program = cls._startable()
        texts = [program.encode_input(value, f"inputs[{index}]") for index, value in enumerate(inputs)]
        handles: list[Handle] = ports.engine().bulk_start(
            program, texts, run_at=run_at, priority=priority, using=using
        )
        return handles

    @classmethod
    def run(
        cls, input: Any = None, *, idempotency_key: str | None = None, using: str | None = None
    ) -> Handle:
        """Start a saga and carry it to its end in this process; if the process dies, a worker takes over."""
        program = cls._startable()
        text = program.encode_input(input)
        handle: Handle = ports.engine().run(program, text, idempotency_key=idempotency_key, using=using)
        return handle

    @classmethod
    def get(cls, saga_id: UUID | str, *, using: str | None = None) -> Handle:
        """Give the handle of a saga of this class; ``Saga.get`` of any. Raises ``SagaNotFound``."""
        handle: Handle = ports.engine().get(vars(cls).get("program"), saga_id, using=using)
        return handle

    @classmethod
    async def astart(
        cls,
        input: Any = None,
        *,
        idempotency_key: str | None = None,
        run_at: datetime | timedelta | None = None,
        priority: int | None = None,
        using: str | None = None,
    ) -> Handle:
        """Async twin of ``start``."""
        return await sync_to_async(cls.start)(
            input, idempotency_key=idempotency_key, run_at=run_at, priority=priority, using=using
        )

    @classmethod
    async def abulk_start(
        cls,
        inputs: Iterable[Any],
        *,
        run_at: datetime | timedelta | None = None,
        priority: int | None = None,
        using: str | None = None,
    ) -> list[Handle]:
        """Async twin of ``bulk_start``."""
        return await sync_to_async(cls.bulk_start)(inputs, run_at=run_at, priority=priority, using=using)

    @classmethod
    async def arun(
        cls, input: Any = None, *, idempotency_key: str | None = None, using: str | None = None
    ) -> Handle:
        """Async twin of ``run``."""
        return await sync_to_async(cls.run)(input, idempotency_key=idempotency_key, using=using)

    @classmethod
    async def aget(cls, saga_id: UUID | str, *, using: str | None = None) -> Handle:
        """Async twin of ``get``."""
        return await sync_to_async(cls.get)(saga_id, using=using)

    @classmethod
    def _make_program(cls, name: str) -> Program:
        return make_program(cls, name, assemble(cls, _RESERVED))

    @classmethod
    def _startable(cls) -> Program:
        program: Program | None = vars(cls).get("program")
        if program is None:
            raise InvalidDefinition(f"{cls.__name__} is abstract: start a subclass that is not.")
        program.require_valid()
        if rivals := registry.rivals(program.registered):
            others = ", ".join(rival.path for rival in rivals)
            raise InvalidDefinition(
                f"Saga {program.definition} is defined twice, by {program.path} and {others}. "
                "Set another name or version in one of them."
            )
        return program


# What a step's function may not be called.
_RESERVED = frozenset({"program", *(name for name in vars(Saga) if not name.startswith("_"))})


def _define(cls: Any) -> None:
    given = [vars(base) for base in cls.__mro__ if base is not Saga and "name" in vars(base)]
    explicit = next((names["name"] for names in given if "_default_name" not in names), None)
    if explicit is None:
        cls._default_name = True
        cls.name = explicit = _snake_case(cls.__name__)
    cls.program = cls._make_program(explicit)
    registry.register(cls.program)


def make_program(
    cls: Any, name: str, assembly: Assembly, kind: type[Program] = Program, **more: Any
) -> Program:
    """Make ``cls`` the saga ``name`` of the steps in ``assembly``; ``more`` are attributes of its program."""
    cls.abstract = False
    cls.program = kind(
        definition=assembly.define(cls, name),
        saga=cls,
        functions=assembly.functions(),
        hooks=assembly.hooks,
        input=cls.input,
        output=cls.output,
        locks=cls.locks,
        found=tuple(assembly.problems),
        **more,
    )
    # They are sagas themselves, and made by what makes sagas.
    from django_saga.dsl.children import define_items

    define_items(cls.program, assembly)
    return cls.program  # type: ignore[no-any-return]


def _snake_case(name: str) -> str:
    """Give ``"http_order"`` for ``HTTPOrderSaga``."""
    stem = name.removesuffix("Saga") or name
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", stem).lower()
