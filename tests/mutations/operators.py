"""Mutations of what operators do: as in ``table``."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation

_ACCESS = "tests/operations/test_access.py"
_SETTLING = "tests/operations/test_settling.py"

MUTATIONS = (
    Mutation(
        "M100",
        "whether a user may do it is not asked as it is done",
        (
            Edit(
                "django_saga/operations/actions.py",
                "        denied = who.lacks(PERMISSIONS[action])\n",
                '        denied = ""\n',
            ),
        ),
        f"{_ACCESS}::test_an_action_takes_its_own_permission_and_no_other",
    ),
    Mutation(
        "M101",
        "a retry takes an attempt of before for its effect",
        (
            Edit(
                "django_saga/engine/settling.py",
                ".filter(saga_id=row.saga_id, pk__gt=row.since_event)",
                ".filter(saga_id=row.saga_id)",
            ),
        ),
        f"{_SETTLING}::test_a_retry_is_open_until_the_step_has_run_again_and_then_done",
    ),
    Mutation(
        "M103",
        "who is second closes an operation again",
        (
            Edit(
                "django_saga/engine/settling.py",
                ".filter(pk=row.pk, result=_Result.OPEN)",
                ".filter(pk=row.pk)",
            ),
        ),
        f"{_SETTLING}::test_one_that_closes_it_second_changes_nothing",
    ),
    Mutation(
        "M102",
        "a refusal for lack of a permission is not recorded",
        (
            Edit(
                "django_saga/operations/actions.py",
                "        denied = who.lacks(PERMISSIONS[action])\n",
                "        denied = who.lacks(PERMISSIONS[action])\n"
                "        if denied:\n"
                "            raise PermissionDenied(denied)\n",
            ),
        ),
        f"{_ACCESS}::test_an_action_takes_its_own_permission_and_no_other",
    ),
)
