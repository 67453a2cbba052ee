"""An operation of Cloud SQL, as the Admin API tells of it."""

from dataclasses import dataclass, field
from datetime import datetime

from shared.redaction import told


@dataclass(frozen=True, slots=True)
class Operation:
    """
    An operation of a Cloud SQL instance. It succeeded when it is done and has not failed.

    `error`: the words of its error, which may be none at all. Judge it by them; only its `complaint` may be told. None: it has
    no error.
    """

    name: str
    inserted_at: datetime
    uri: str | None = None
    done: bool = False
    ended_at: datetime | None = None
    error: str | None = field(default=None, repr=False)

    @property
    def failed(self) -> bool:
        """Whether it has an error. Its words say what kind, and nothing else."""
        return self.error is not None

    @property
    def complaint(self) -> str:
        """Why it did not bring a file, in words that may be told."""
        if self.error is None:
            return "its file has disappeared"
        return told(self.error, f"the operation {self.name}")

    @property
    def seconds(self) -> float | None:
        """How long it took, None while it runs."""
        return (self.ended_at - self.inserted_at).total_seconds() if self.ended_at else None
