"""A pipeline's bucket: what its objects are called, and what can be done with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from shared.times import stamp

RESERVED = frozenset({"_staging", "_runs", "_plans"})
"""Folders of ours beside those of the tables, which are called by their table_id."""


@dataclass(frozen=True, slots=True)
class File:
    """An object in the bucket: its generation, its size in bytes, and the marks that we put on it."""

    name: str
    generation: int
    size: int
    marks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a list has it: when it was written, and its marks."""

    name: str
    written_at: datetime
    marks: Mapping[str, str]


class Upload(Protocol):
    """
    An object in the making, which is there when it is finished.

    `write` and `finish` raise as a bucket's methods do, and LostRace if an object of its name has come to be.
    """

    @property
    def is_long(self) -> bool:
        """Whether some MiB of it are kept until it is finished. Of a short one it is one MiB at most."""

    def write(self, chunk: bytes) -> object:
        """Add to it."""

    def finish(self) -> File:
        """Have it there."""

    def abandon(self) -> None:
        """Let it never be there. After `finish`, do nothing."""


class Bucket(Protocol):
    """
    A pipeline's bucket.

    Its methods raise Busy if the same call may succeed later, and Permanent if it will not.
    """

    def read(self, name: str) -> tuple[bytes, int] | None:
        """The content of an object and its generation. None if there is none."""

    def stat(self, name: str) -> File | None:
        """An object without its content. None if there is none."""

    def names(self, prefix: str) -> list[str]:
        """The names of all objects that begin so."""

    def listing(self, prefix: str) -> list[Listed]:
        """All objects whose names begin so."""

    def folders(self, prefix: str) -> list[str]:
        """The beginnings, up to the next slash and with it, of all names that begin so and have one. Each comes once."""

    def write(self, name: str, content: bytes, onto: int, marks: Mapping[str, str] | None = None) -> None:
        """Write an object over its generation `onto` (0: there is none), with marks. Raises LostRace if it is another."""

    def mark(self, name: str, marks: Mapping[str, str]) -> File | None:
        """Give an object marks, and look at it. None if there is none."""

    def move(self, file: File, name: str, onto: int, marks: Mapping[str, str]) -> File:
        """
        Give a file its marks, unless it has them, and its name, over that name's generation `onto` (0: none).

        Raises LostRace if either has changed.
        """

    def delete(self, name: str, generation: int | None = None) -> None:
        """Delete an object, if it is there, and of that generation where one is given."""


class Uploads(Bucket, Protocol):
    """A bucket into which data is uploaded while it comes."""

    def upload(self, name: str, marks: Mapping[str, str]) -> Upload:
        """Begin an object of any size that is not there yet, with marks."""


class Storage(Protocol):
    """Cloud Storage."""

    def bucket(self, name: str) -> Bucket:
        """The bucket of that name."""


def pipeline_folder(pipeline: str) -> str:
    """What the names of all objects of a pipeline begin with. A table's folder in it is called by its table_id."""
    return f"{pipeline}/"


def schema_file(pipeline: str, table_id: str, day: date) -> str:
    """The object that seals a pair."""
    return f"{pipeline}/{table_id}/schema_{stamp(day)}.json"


def data_file(pipeline: str, table_id: str, day: date, file_format: str) -> str:
    """The object that holds a table's rows."""
    return f"{pipeline}/{table_id}/data_{stamp(day)}.{file_format}"


def staged_file(pipeline: str, run_id: str, table_id: str, day: date, file_format: str) -> str:
    """Where an operation writes. The data gets its own name when it is complete."""
    return f"{pipeline}/_staging/{run_id}/{table_id}_{stamp(day)}.{file_format}"


def newest_manifest_file(pipeline: str, day: date) -> str:
    """The manifest of the newest run over the whole database, by its shard date."""
    return f"{newest_manifest_files(pipeline)}{stamp(day)}.json"


def newest_manifest_files(pipeline: str) -> str:
    """What the names of these manifests begin with. The folders of some tables may begin so, too."""
    return f"{pipeline}/manifest_"


def run_folders(pipeline: str) -> str:
    """What the names of the records of all runs begin with."""
    return f"{pipeline}/_runs/"


def run_folder(pipeline: str, run_id: str) -> str:
    """What the names of all records of a run begin with."""
    return f"{run_folders(pipeline)}{run_id}/"


def within_run(name: str) -> str:
    """What is left of a record's name within the folder of its run."""
    _pipeline, _runs, _run_id, left = name.split("/", 3)
    return left


def manifest_file(pipeline: str, run_id: str) -> str:
    """The object that says what a run exports."""
    return f"{run_folder(pipeline, run_id)}manifest.json"


def digests_file(pipeline: str, run_id: str) -> str:
    """The object that holds what a run's messages have to say to be believed."""
    return f"{run_folder(pipeline, run_id)}digests.json"


def record_file(pipeline: str, run_id: str, settled: str, table_id: str) -> str:
    """The object that says how a table of a run has settled: `exported`, `failed`, and so on."""
    return f"{run_folder(pipeline, run_id)}{settled}/{table_id}.json"


def failed_files(pipeline: str, run_id: str) -> str:
    """What the names of the records of a run's failures begin with."""
    return f"{run_folder(pipeline, run_id)}failed/"


def described_again_file(pipeline: str, run_id: str, table_id: str) -> str:
    """The object that describes a table of a run that was altered after it had been listed."""
    return f"{run_folder(pipeline, run_id)}relisted/{table_id}.json"


def snapshot_file(pipeline: str, run_id: str, snapshot: int) -> str:
    """The object that says that the reading of a run's snapshot has begun."""
    return f"{run_folder(pipeline, run_id)}snapshots/{snapshot}.json"


def run_exported_file(pipeline: str, run_id: str) -> str:
    """The object that decides who announces that a run is complete."""
    return f"{run_folder(pipeline, run_id)}run_exported.json"


def run_shown_file(pipeline: str, run_id: str) -> str:
    """The object that decides who tells that each table of a run has come to its end."""
    return f"{run_folder(pipeline, run_id)}run_shown.json"


def stopped_file(pipeline: str, run_id: str) -> str:
    """The object that says that a run is to begin no more tables."""
    return f"{run_folder(pipeline, run_id)}stopped.json"


def plan_file(pipeline: str, message_id: str) -> str:
    """The object that says what a run would do, by the message that asked for that."""
    return f"{pipeline}/_plans/{message_id}.json"


def open_runs(pipeline: str) -> str:
    """What the names of the marks of runs begin with that are not over. No run has an id with a slash, or this one."""
    return f"{run_folders(pipeline)}open/"


def open_run_file(pipeline: str, run_id: str) -> str:
    """The mark of a run that is not over. Without it, whoever looks for such runs would have to look at all."""
    return f"{open_runs(pipeline)}{run_id}"


def over_runs(pipeline: str) -> str:
    """What the names of the marks of runs begin with that are over. No run has this id either."""
    return f"{run_folders(pipeline)}over/"


def over_run_file(pipeline: str, run_id: str) -> str:
    """The mark of a run that is over, for those behind it in the lane."""
    return f"{over_runs(pipeline)}{run_id}"


def uri(bucket: str, name: str) -> str:
    """An object as the services name it to one another."""
    return f"gs://{bucket}/{name}"


def object_name(bucket: str, uri_there: str) -> str:
    """The name, in its bucket, of the object that a URI names."""
    return uri_there.removeprefix(uri(bucket, ""))
