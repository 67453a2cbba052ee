"""
`make demo`: run the whole mirror on this machine, from a PostgreSQL database to views.

It operates the mirror by the command `mirror`, and checks the result at the end.
With LOADER=beam, a Beam pipeline makes the shards, as a team's own Dataflow job would. With SMALL=snapshot, small tables are
read over a connection, all at one moment.
"""

import argparse
import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pg8000.exceptions
from google.api_core.exceptions import GoogleAPICallError

from cli.following import Run, TableOfRun
from local import beam, command, comparison, report, source
from local.cloud import REPOSITORY, Cloud
from local.comparison import SHARDS, VIEWS, Check
from local.source import Source
from shared.runs import manifest
from shared.runs.records import SHOWN

WORK = REPOSITORY / "build" / "demo"
PIPELINE = "demo"
_WORDS = {"loader": ("bigquery", "beam"), "small": ("export", "snapshot")}
_AFTER = 15.0
"""Seconds to wait for what comes after the last view has moved: the end of a Dataflow job, the last lines of the ledger."""


def main() -> int:
    """Run the demo. The exit code is 0 if all tables agree, 1 if they do not or on an error, and 130 after Ctrl-C."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return demo(
            arguments.source,
            WORK,
            small=arguments.small,
            exclude=arguments.exclude.split(),
            by_beam=arguments.loader == "beam",
            keep=arguments.keep,
        )
    except KeyboardInterrupt:
        print("Stopped, and everything that was started with it.")
        return 130
    except (ValueError, RuntimeError, OSError, GoogleAPICallError, pg8000.exceptions.Error) as error:
        print(f"The demo failed: {comparison.words(error)}", file=sys.stderr)
        return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument(
        "--source",
        default=os.environ.get("SOURCE"),
        metavar="URL",
        help="mirror postgresql://user@host/database, which is only read: password in PGPASSWORD, or percent-encoded after user:",
    )
    parser.add_argument(
        "--loader",
        default=os.environ.get("LOADER") or "bigquery",
        choices=_WORDS["loader"],
        help="what makes the shards: load jobs of BigQuery, or a Beam pipeline that a Dataflow job stands for",
    )
    parser.add_argument(
        "--small",
        default=os.environ.get("SMALL") or "export",
        choices=_WORDS["small"],
        help="how small tables are read: each by an export, or all in one snapshot over a connection",
    )
    parser.add_argument(
        "--exclude",
        default=os.environ.get("EXCLUDE") or "",
        metavar="GLOBS",
        help="tables that are not mirrored: globs on schema.table, with spaces between them, and ? for a space in a name",
    )
    parser.add_argument(
        "--keep",
        default=os.environ.get("KEEP", "0") not in ("", "0"),
        action="store_true",
        help="leave the cloud up until Ctrl-C, to be queried with make query",
    )
    for name, words in _WORDS.items():
        value = os.environ.get(name.upper())
        if value and value not in words:
            parser.exit(2, f"{name.upper()} must be {' or '.join(words)}, not {value}.\n")
    return parser.parse_args()


def demo(
    address: str | None,
    work: Path,
    *,
    small: str = "export",
    exclude: Sequence[str] = (),
    by_beam: bool = False,
    keep: bool = False,
) -> int:
    """
    Mirror the database at `address`, or our own if it is None. Gives 0 if all tables agree, else 1.

    All files go to `work`, which is emptied first. A table that fails is shown as failed. The others are still mirrored
    and compared.
    """
    began = time.monotonic()
    with _folder(work):
        print("Starting PostgreSQL and filling it …" if not address else "Looking at the source …", flush=True)
        with source.at(address, work) if address else source.our_own() as database:
            report.source(database, exclude)
            print("Starting Cloud SQL, Cloud Storage, Pub/Sub, BigQuery, Eventarc and the functions …", flush=True)
            with cloud_of(database, work, small=small, exclude=exclude, by_beam=by_beam) as cloud, _saying_goodbye():
                checks = _mirror(cloud, database, work)
                report.tables(checks)
                jobs_are_good = report.jobs(cloud) if by_beam else True
                report.ledger(cloud)
                command.run(cloud, work, "status", PIPELINE)
                report.advice(database, checks, exclude)
                report.verdict(checks, began)
                if keep:
                    report.how_to_ask(cloud, work, PIPELINE, checks)
                    _keep(work, cloud.bigquery.url)
                return 0 if jobs_are_good and all(check.agrees for check in checks) else 1


@contextmanager
def _folder(work: Path) -> Iterator[None]:
    """
    Have a folder that is empty, and that nobody else has. At the end nothing in it says that a cloud is up.

    Raises RuntimeError if another demo has it.
    """
    work.parent.mkdir(parents=True, exist_ok=True)
    with work.with_name(f"{work.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RuntimeError(
                "a demo is up already in this folder: ask it by make query, or end it by Ctrl-C"
            ) from error
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(mode=0o700)
        try:
            yield
        finally:
            for name in ("bigquery", *command.FILES):
                (work / name).unlink(missing_ok=True)


@contextmanager
def _saying_goodbye() -> Iterator[None]:
    """Answer Ctrl-C with a message at once, because stopping may take some seconds."""
    try:
        yield
    except KeyboardInterrupt:
        print("\nStopping …", flush=True)
        raise


@contextmanager
def cloud_of(
    database: Source, work: Path, *, by_beam: bool, small: str = "export", exclude: Sequence[str] = ()
) -> Iterator[Cloud]:
    pipeline = database.settings | {
        "instance": source.INSTANCE,
        "database": database.database,
        "bucket": "demo-mirror",
        "shards_dataset": SHARDS,
        "views_dataset": VIEWS,
        "small_tables": small,
        "exclude": list(exclude),
    }
    if by_beam:
        pipeline |= {
            "loader": "scio",
            "dataflow": {"template": "gs://demo-templates/load_run.json", "region": "europe-west1"},
        }
    job = beam.job(work / "beam.log")
    with Cloud({PIPELINE: pipeline}, {source.INSTANCE: database.connect}, work, job=job) as cloud:
        yield cloud


def _mirror(cloud: Cloud, database: Source, work: Path) -> list[Check]:
    today = datetime.now(UTC).date()
    command.run(cloud, work, "plan", PIPELINE)
    print("Those times are Cloud SQL's. The local one is faster.")
    if database.ours:
        yesterday = today - timedelta(days=1)
        print(f"\nA backfill of {yesterday}, asked for by hand:", flush=True)
        command.run(cloud, work, "request", PIPELINE, "--date", yesterday.isoformat(), "--follow")
        print("\nA day passes at the source: rows come, change and go, and a table gets another column.", flush=True)
        database.let_a_day_pass()
    print(f"\nThe mirror of {today}:", flush=True)
    command.run(cloud, work, "request", PIPELINE, "--follow")
    until = time.monotonic() + _AFTER
    while not cloud.is_idle() and time.monotonic() < until:
        time.sleep(0.05)
    return [_check(cloud, database, table) for table in _tables(cloud, today)]


def _tables(cloud: Cloud, day: date) -> list[TableOfRun]:
    """The tables of a day's run, as they are now. Raises RuntimeError if the request has led to no run."""
    bucket, pipeline = command.place(cloud, PIPELINE)
    newest = manifest.newest(bucket, pipeline)
    tables = Run(bucket, pipeline, newest.run_id).look() if newest and newest.day == day else None
    if not tables:
        raise RuntimeError(f"the request has led to no run of {day}")
    return tables


def _check(cloud: Cloud, database: Source, table: TableOfRun) -> Check:
    """Compare a table, if its view shows the run's day."""
    if table.state != SHOWN:
        return Check(table, failure=table.reason or f"it is {table.state}, and then nothing happened")
    return comparison.compare(cloud, database, table)


def _keep(work: Path, url: str) -> None:
    """Leave the cloud up until Ctrl-C. `url`: of its BigQuery, for `make query`."""
    (work / "bigquery").write_text(url, encoding="utf-8")
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())
