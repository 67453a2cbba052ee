"""What is told of a run when each of its tables has come to its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any


@dataclass(frozen=True, slots=True)
class RunShown:
    """A run that is over. `ends`: the ids of its tables by how they ended: `shown`, `failed`, `held`, `skipped`."""

    run_id: str
    pipeline: str
    shard_date: date
    ends: Mapping[str, Sequence[str]]

    def to_json(self) -> dict[str, Any]:
        """The message as `run-shown` carries it."""
        return {
            "run_id": self.run_id,
            "pipeline": self.pipeline,
            "shard_date": self.shard_date.isoformat(),
            **{end: list(self.ends[end]) for end in ("shown", "failed", "held", "skipped")},
        }
