"""The log: one line of JSON per event on standard output, as Cloud Logging reads it."""

import json
from collections.abc import Mapping
from typing import Any

_MOST = 1024
_MOST_OF_THE_MESSAGE = 8 * 1024
"""Characters of a field, as JSON writes them. The few fields of a line fit into 16 KiB, far below Cloud Logging's limit."""


def write(function: str, fields: Mapping[str, Any]) -> None:
    """Write a line. It has `severity` and `message` at least. One write, so that threads do not mix their lines."""
    line = {name: _bounded(name, value) for name, value in {"function": function, **fields}.items()}
    print(json.dumps(line) + "\n", end="", flush=True)  # noqa: T201 - the log is standard output


def _bounded(name: str, value: Any) -> Any:
    """The value of a field. A text that is too long is cut."""
    most = _MOST_OF_THE_MESSAGE if name == "message" else _MOST
    if not isinstance(value, str) or len(json.dumps(value)) <= most:
        return value
    kept = value[:most]
    while len(json.dumps(f"{kept}…")) > most:
        kept = kept[: len(kept) * 9 // 10]
    return f"{kept}…"
