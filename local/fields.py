"""
Partial responses: the `fields` parameter of Google's REST APIs, such as `a,b/c,items(x,y/z)`.

No difference from the services is known. Source:
https://developers.google.com/workspace/drive/api/guides/fields-parameter
"""

import re
from collections import deque
from collections.abc import Iterator
from typing import Any

from local.schemas import Schema, Schemas, member

Mask = dict[str, "Mask"]
"""The fields to keep. Each has a mask for its own fields, and an empty mask keeps all of them. `*` is every field."""


def parse(text: str) -> Mask:
    """Read the value of a `fields` parameter. Raises ValueError if it is malformed."""
    tokens = deque(re.findall(r"[^,/()]+|[,/()]", text))
    try:
        mask = _selection(tokens)
    except IndexError:
        raise ValueError(f"Invalid field selection {text}") from None
    if tokens:
        raise ValueError(f"Invalid field selection {text}")
    return mask


def _selection(tokens: deque[str]) -> Mask:
    mask: Mask = {}
    _field(tokens, mask)
    while tokens and tokens[0] == ",":
        tokens.popleft()
        _field(tokens, mask)
    return mask


def _field(tokens: deque[str], mask: Mask) -> None:
    name = tokens.popleft()
    if name in ",/()":
        raise ValueError(f"Invalid field selection: a name is missing before {name}")
    follows = tokens[0] if tokens else ""
    if follows not in ("/", "("):
        mask[name] = {}
        return
    # `a,a/b` selects all of a.
    inner = {} if mask.get(name) == {} else mask.setdefault(name, {})
    tokens.popleft()
    if follows == "/":
        _field(tokens, inner)
    else:
        inner.update(_selection(tokens))
        if tokens.popleft() != ")":
            raise ValueError("Invalid field selection: a parenthesis is open")


def select(mask: Mask, value: Any) -> Any:
    """The value with the selected fields only. For a list, the fields are selected in each item."""
    if not mask:
        return value
    if isinstance(value, list):
        return [select(mask, item) for item in value]
    if isinstance(value, dict):
        kept = {name: mask.get(name, mask.get("*")) for name in value}
        return {name: select(inner, value[name]) for name, inner in kept.items() if inner is not None}
    return value


def faults(schemas: Schemas, schema: Schema, mask: Mask) -> Iterator[str]:
    """One sentence for each selected field that the schema does not have."""
    schema = schemas.resolve(schema)
    if schema["type"] == "array":
        yield from faults(schemas, schema["items"], mask)
        return
    for name, inner in mask.items() if schema["type"] != "any" else ():
        field = member(schema, name)
        if field is not None:
            yield from faults(schemas, field, inner)
        elif name != "*":
            yield f"Invalid field selection {name}"
