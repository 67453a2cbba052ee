"""The log: one line of JSON per event on standard output, as Cloud Logging reads it."""

import json
from collections.abc import Mapping
from typing import Any


def write(function: str, fields: Mapping[str, Any]) -> None:
    """Write a line of those fields that say something, `severity` and `message` at least."""
    line = {"function": function} | {name: value for name, value in fields.items() if value is not None}
    # One write, so that threads do not mix their lines.
    print(json.dumps(line, ensure_ascii=False) + "\n", end="", flush=True)  # noqa: T201 - the log is standard output
