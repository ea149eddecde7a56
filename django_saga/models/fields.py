"""Text that is compared exactly in every database."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class ExactCharField(models.CharField):  # type: ignore[type-arg]
    """A ``CharField`` whose values are equal only when all their characters are.

    By default MariaDB and MySQL take "Order", "order", "ördér" and "order " for the same text.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Give the column's type, with the collation that compares code points and pads nothing."""
        parameters: dict[str, Any] = dict(super().db_parameters(connection))
        if connection.vendor == "mysql":
            mariadb = connection.mysql_is_mariadb  # type: ignore[attr-defined]
            parameters["collation"] = "utf8mb4_nopad_bin" if mariadb else "utf8mb4_0900_bin"
        return parameters
