"""
`make demo`: run the whole mirror on this machine, from a PostgreSQL database to views.

It operates the mirror by the command `mirror`, and checks the result at the end.
With LOADER=beam, a Beam pipeline makes the shards, as a team's own Dataflow job would. With SMALL=snapshot, small tables are
read over a connection, all at one moment.
"""

import argparse
import os
import shlex
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
from local import beam, command, comparison, source
from local.cloud import OPS, REPOSITORY, Cloud
from local.comparison import SHARDS, VIEWS, Check
from local.source import Source
from shared.runs import manifest
from shared.runs.records import SHOWN

WORK = REPOSITORY / "build" / "demo"
PIPELINE = "demo"
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
        help="mirror postgresql://user@host/database (password from PGPASSWORD), which is only read",
    )
    parser.add_argument(
        "--loader",
        default="bigquery",
        choices=("bigquery", "beam"),
        help="what makes the shards: load jobs of BigQuery, or a Beam pipeline that a Dataflow job stands for",
    )
    parser.add_argument(
        "--small",
        default="export",
        choices=("export", "snapshot"),
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
        default=bool(os.environ.get("KEEP")),
        action="store_true",
        help="leave the cloud up until Ctrl-C, to be queried with make query",
    )
    said = {name: os.environ.get(name.upper()) for name in ("loader", "small")}
    return parser.parse_args([*(f"--{name}={value}" for name, value in said.items() if value), *sys.argv[1:]])


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
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, mode=0o700)
    began = time.monotonic()
    print("Starting PostgreSQL and filling it …" if not address else "Looking at the source …", flush=True)
    with source.at(address, work) if address else source.our_own() as database:
        tables, size = database.size()
        if address:
            print(
                'TLS is used if the server offers it, and its certificate is not checked: "ca_file": "off".', flush=True
            )
        print(f"The database {database.database} has {tables} tables of {size / 1e6:,.1f} MB.", flush=True)
        print("Starting Cloud SQL, Cloud Storage, Pub/Sub, BigQuery, Eventarc and the functions …", flush=True)
        with cloud_of(database, work, small=small, exclude=exclude, by_beam=by_beam) as cloud, _saying_goodbye():
            checks = _mirror(cloud, database, work)
            _report(checks)
            jobs_are_good = _report_job(cloud) if by_beam else True
            _report_ledger(cloud)
            command.run(cloud, work, "status", PIPELINE)
            print(f"\n{comparison.verdict(checks)} after {time.monotonic() - began:.1f} s.", flush=True)
            if keep:
                _keep(cloud, work, checks)
            return 0 if jobs_are_good and all(check.agrees for check in checks) else 1


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
        return Check(table.table, failure=table.reason or f"it is {table.state}, and then nothing happened")
    return comparison.compare(cloud, database, table)


def _report(checks: list[Check]) -> None:
    """Print the comparisons."""
    print(f"\n  {'table':28} {'rows at source':>14} {'newest shard':>14} {'through view':>14}   the view names")
    for check in sorted(checks, key=lambda each: each.table):
        if check.failure:
            print(f"  {check.table:28} failed: {check.failure}")
        else:
            numbers = f"{check.at_source:14,} {check.in_shard:14,} {check.through_view:14,}"
            print(f"  {check.table:28} {numbers}   {check.shown}{'' if check.agrees else '   <- differs'}")


def _report_job(cloud: Cloud) -> bool:
    """Print the Dataflow job of each run. Gives whether each was launched once and succeeded."""
    runs = beam.loaded(cloud)
    print(f"\n  {'the Dataflow job of a run':44} {'launched':>8} {'shards':>6}   ended as")
    for run in runs:
        wrong = "" if run.is_good else "   <- wrong"
        print(f"  {run.job:44} {run.launches:8} {run.shards:6}   {run.state}{wrong}")
    return all(run.is_good for run in runs)


def _report_ledger(cloud: Cloud) -> None:
    """Print what the ledger says of each run."""
    query = f"""
        SELECT shard_date, outcome, COUNT(*) AS tables, SUM(row_count) AS row_count, SUM(ARRAY_LENGTH(lost_columns)) AS lost
        FROM {OPS}.ledger GROUP BY shard_date, outcome ORDER BY shard_date, outcome
    """
    print(f"\n  {f'{OPS}.ledger':12} {'outcome':8} {'tables':>6} {'rows':>12} {'columns lost':>12}")
    with cloud.warehouse() as client:
        for row in client.query_and_wait(query):
            rows = f"{row.row_count or 0:12,} {row.lost or 0:12}"
            print(f"  {row.shard_date!s:17} {row.outcome:8} {row.tables:6} {rows}")


def _keep(cloud: Cloud, work: Path, checks: list[Check]) -> None:
    """Leave the cloud up until Ctrl-C, and print how to query it."""
    address = work / "bigquery"
    address.write_text(cloud.bigquery.url, encoding="utf-8")
    print("\nThe cloud stays up until Ctrl-C. Ask it, in another terminal:")
    views = sorted(check.shown.rpartition("_")[0] for check in checks if check.agrees)
    print(f"  make query SQL='SELECT * FROM `{VIEWS}.{views[0] if views else 'VIEW'}` LIMIT 5'")
    print("Or operate its mirror, with the command that the real one has:")
    print(f"  . {shlex.quote(str(command.write(cloud, work)))} && ./mirror request {PIPELINE} --follow")
    for name, value in sorted(cloud.environ.items()):
        if name.endswith(("_HOST", "_ENDPOINT")):
            print(f"  {name}={value}")
    sys.stdout.flush()
    try:
        while True:
            signal.pause()
    finally:
        address.unlink()


if __name__ == "__main__":
    sys.exit(main())
