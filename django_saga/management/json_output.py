"""JSON for other programs: one document, in ASCII, so that no stored text reaches a terminal as it is."""

from __future__ import annotations

import json
from typing import Any


def document(value: Any) -> str:
    """Give ``value`` as indented JSON text."""
    # json leaves DEL alone; everything else beyond printable ASCII it escapes.
    return json.dumps(value, indent=2).replace("\x7f", "\\u007f")
