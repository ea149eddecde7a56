"""Who decides in tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Somebody:
    """A user with one permission, as the project's own user model may be."""

    name: str
    may: bool = True

    def has_perm(self, perm: str) -> bool:
        """Say whether he may."""
        return self.may and perm == "auth.change_user"

    def get_username(self) -> str:
        """Give his name."""
        return self.name


ANN, BOB = Somebody("ann"), Somebody("bob")
EVE = Somebody("eve", may=False)
