"""The fields of a JSON object that came from outside. What is missing or wrong raises Permanent, naming the value."""

import json
from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any

from shared import times
from shared.errors import Permanent
from shared.messages.message import RUN_ID, Message
from shared.pipelines import Pipeline


class Fields:
    """Typed reading of one object. `what` is what errors call it. A null field is an absent one."""

    def __init__(self, fields: Mapping[str, Any], what: str) -> None:
        self._fields = fields
        self._what = what

    @classmethod
    def of(cls, message: Message, what: str, known: Collection[str] | None = None) -> "Fields":
        """The fields of the JSON object in a message, none beside the `known` ones."""
        try:
            content = message.content
        except ValueError as error:
            why = str(error) if message.data else "it has no data"
            raise Permanent(f"the {what} is not JSON: {why}") from error
        if not isinstance(content, dict):
            raise Permanent(f"the {what} is not a JSON object but {_shown(content)}")
        unknown = [key for key in content if known is not None and key not in known]
        if known is not None and unknown:
            raise Permanent(f"the {what} has unknown keys: {', '.join(unknown)}; it may have {', '.join(known)}")
        return cls(content, what)

    def get(self, name: str) -> Any:
        return self._fields.get(name)

    def has(self, name: str) -> bool:
        return self.get(name) is not None

    def text(self, name: str) -> str:
        value = self.get(name)
        if not isinstance(value, str) or not value:
            raise self._wrong(name, "a text")
        return value

    def text_or_none(self, name: str) -> str | None:
        return self.text(name) if self.has(name) else None

    def run_id(self, name: str = "run_id") -> str:
        """The id of a run, which becomes part of the names of objects."""
        run_id = self.text(name)
        if not RUN_ID.fullmatch(run_id):
            raise Permanent(f"{name} of the {self._what} is {run_id!r}, which is no run's")
        return run_id

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.get(name) if self.has(name) else default
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def day(self, name: str) -> date:
        try:
            return times.day(self.text(name))
        except ValueError as error:
            raise Permanent(f"{name} of the {self._what} is no day: {error}") from error

    def moment(self, name: str) -> datetime:
        try:
            return times.moment(self.text(name))
        except ValueError as error:
            raise Permanent(f"{name} of the {self._what} is no moment: {error}") from error

    def names(self, name: str) -> tuple[str, ...] | None:
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
            raise self._wrong(name, "a list of at least one name")
        return tuple(value)

    def names_or_objects(self, name: str, what: str) -> tuple["str | Fields", ...] | None:
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not value or not all(isinstance(item, str | dict) and item for item in value):
            raise self._wrong(name, "a list of at least one name")
        return tuple(Fields(item, what) if isinstance(item, dict) else item for item in value)

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.get(name) or []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(name, "a list of texts")
        return tuple(value)

    def number(self, name: str) -> int:
        value = self.number_or_none(name)
        if value is None:
            raise self._wrong(name, "a whole number")
        return value

    def number_or_none(self, name: str) -> int | None:
        value = self.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise self._wrong(name, "a whole number")
        return value

    def objects(self, name: str, what: str) -> list["Fields"]:
        value = self.get(name)
        if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
            raise self._wrong(name, "a list of at least one object")
        return [Fields(item, what) for item in value]

    def pipeline(self, pipelines: Mapping[str, Pipeline]) -> Pipeline:
        name = self.text("pipeline")
        if name not in pipelines:
            raise Permanent(f"there is no pipeline {name!r}; PIPELINES has {', '.join(sorted(pipelines))}")
        return pipelines[name]

    def _wrong(self, name: str, must_be: str) -> Permanent:
        return Permanent(f"{name} of the {self._what} must be {must_be}, not {_shown(self.get(name))}")


def _shown(value: Any) -> str:
    return _shortened(json.dumps(value))


def _shortened(text: str) -> str:
    """Short enough for a message."""
    return text if len(text) <= 200 else f"{text[:200]}…"
