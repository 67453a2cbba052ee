"""What came of an event, as its log line tells it."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from typing import Any

_ABOUT = "mirror_about"


@dataclass(frozen=True, slots=True)
class Subject:
    """What an event is about, as far as that is known. `table` is `schema.table`, or a view's name."""

    pipeline: str | None = None
    table: str | None = None
    shard_date: date | None = None
    run_id: str | None = None


class Concerning(AbstractContextManager[None]):
    """Whatever is raised meanwhile is about this, and the log line of the failure says so."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None:
            vars(error)[_ABOUT] = self._subject


def subject_of(error: BaseException) -> Subject:
    """What an error is about, as far as it was raised where that is known."""
    found: Subject = vars(error).get(_ABOUT, Subject())
    return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    One word for what came of an event, a sentence, and what it was about.

    The words: listed, exported, loaded, moved, skipped, waiting, dead, ignored.
    """

    outcome: str
    message: str
    about: Subject = Subject()
    severity: str = "INFO"
    operation: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields of the log line that say something."""
        day = self.about.shard_date
        fields = {
            "outcome": self.outcome,
            "message": self.message,
            "severity": self.severity,
            "pipeline": self.about.pipeline,
            "table": self.about.table,
            "shard_date": day.isoformat() if day else None,
            "run_id": self.about.run_id,
            "operation": self.operation,
        }
        return {name: value for name, value in fields.items() if value is not None}
