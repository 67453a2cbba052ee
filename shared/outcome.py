"""What came of an event, as its log line tells it."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from shared.messages import MirrorRequest, RunExported, TableOfRun


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    One word for what came of an event, a sentence, and what it was about.

    The words: listed, exported, loaded, moved, skipped, waiting, dead, ignored.
    """

    outcome: str
    message: str
    severity: str = "INFO"
    pipeline: str | None = None
    table: str | None = None
    shard_date: str | None = None
    run_id: str | None = None
    operation: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields of the log line that say something."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def of_run(
    outcome: str,
    message: str,
    of: MirrorRequest | TableOfRun | RunExported,
    severity: str = "INFO",
    operation: str | None = None,
) -> Outcome:
    """What came of an event about a run."""
    return Outcome(
        outcome=outcome,
        message=message,
        severity=severity,
        pipeline=of.pipeline.name,
        shard_date=of.shard_date.isoformat(),
        run_id=of.run_id,
        operation=operation,
    )


def of_table(
    outcome: str, message: str, of: TableOfRun, severity: str = "INFO", operation: str | None = None
) -> Outcome:
    """What came of an event about one table of a run."""
    return replace(of_run(outcome, message, of, severity, operation), table=f"{of.schema}.{of.table}")
