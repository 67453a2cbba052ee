"""What a demo prints: what is to be mirrored, and at its end whether the tables agree, and what to do about what failed."""

import re
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from cli.screen import one_line
from local import beam, command
from local.cloud import OPS, Cloud
from local.comparison import VIEWS, Check
from local.source import Source
from shared.pipelines import matches
from shared.remedies import EXPORTER

_NAMES, _LONGEST = 28, 60
"""Columns of a table's name, at least and at most."""


def source(database: Source, exclude: Sequence[str]) -> None:
    """
    Print what is to be mirrored.

    Raises ValueError if nothing is to be mirrored, or a glob excludes nothing: what it was meant for would be mirrored.
    """
    names, name = database.tables(), database.database
    for glob in exclude:
        if names and not any(matches((glob,), each) for each in names):
            raise ValueError(f"EXCLUDE: there is no table {glob} in {name}. {_hint(glob, names)}")
    mirrored = [each for each in names if not matches(tuple(exclude), each)]
    if not mirrored:
        raise ValueError(f"there is no table to mirror in {name}{': EXCLUDE leaves out all' if names else ''}")
    if not database.ours:
        print('TLS is used if the server offers it, and its certificate is not checked: "ca_file": "off".')
    but = f", of which EXCLUDE leaves out {len(names) - len(mirrored)}" if exclude else ""
    print(f"The database {name} has {len(names)} tables{but}.")
    first, *others = database.settings["schemas"]
    if others:
        print(
            f"In BigQuery, those of the schema {first} have no prefix. The others have the schema's name before theirs."
        )


def tables(checks: Sequence[Check]) -> None:
    """Print the comparisons."""
    names = [(one_line(check.table.table), check) for check in checks]
    width = min(max([_NAMES, *(len(name) for name, _ in names)]), _LONGEST)
    print(f"\n  {'table':{width}} {'rows at source':>14} {'newest shard':>14} {'through view':>14}   the view names")
    for name, check in sorted(names, key=lambda each: each[0]):
        if check.failure:
            print(f"  {name:{width}} failed: {one_line(check.failure)}")
        else:
            numbers = f"{check.at_source:14,} {check.in_shard:14,} {check.through_view:14,}"
            print(f"  {name:{width}} {numbers}   {check.shown}{'' if check.agrees else '   <- differs'}")


def jobs(cloud: Cloud) -> bool:
    """Print the Dataflow job of each run. Gives whether each was launched once and succeeded."""
    runs = beam.loaded(cloud)
    print(f"\n  {'the Dataflow job of a run':44} {'launched':>8} {'shards':>6}   ended as")
    for run in runs:
        wrong = "" if run.is_good else "   <- wrong"
        print(f"  {run.job:44} {run.launches:8} {run.shards:6}   {run.state}{wrong}")
    return all(run.is_good for run in runs)


def ledger(cloud: Cloud) -> None:
    """Print what the ledger says of each run."""
    query = f"""
        SELECT shard_date, outcome, COUNT(*) AS tables, SUM(row_count) AS row_count, SUM(ARRAY_LENGTH(lost_columns)) AS lost
        FROM {OPS}.ledger GROUP BY shard_date, outcome ORDER BY shard_date, outcome
    """
    print(f"\n  {f'{OPS}.ledger':17} {'outcome':8} {'tables':>6} {'rows':>12}   {'columns lost':>12}")
    with cloud.warehouse() as client:
        for row in client.query_and_wait(query):
            rows = f"{row.row_count or 0:12,}   {row.lost or 0:12}"
            print(f"  {row.shard_date!s:17} {row.outcome:8} {row.tables:6} {rows}")


def advice(database: Source, checks: Sequence[Check], exclude: Sequence[str]) -> None:
    """Print what to do about tables that have failed. `exclude`: what has been left out."""
    failed = [check for check in checks if check.failure]
    if not failed:
        return
    good = [_plain(check) for check in checks if not check.failure]
    found = {_glob(check) for check in failed}
    globs = sorted(glob for glob in found if not any(matches((glob,), table) for table in good))
    print(
        f"\nMend what has failed, or leave it out, and begin anew: EXCLUDE={shlex.quote(' '.join([*exclude, *globs]))}"
    )
    if others := sorted(found - set(globs)):
        print(f"These would leave out a good table, too, whose name is alike: {', '.join(others)}")
    if any(EXPORTER in check.failure for check in failed):
        user = database.settings["user"]
        print(f"Here {user} reads the tables, and there is no {EXPORTER}: what is to be granted goes to {user}.")


def how_to_ask(cloud: Cloud, work: Path, pipeline: str, checks: Sequence[Check]) -> None:
    """Print how to query a cloud that stays up, and how to operate its mirror."""
    views = [check.table.table_id for check in sorted(checks, key=_interest) if check.agrees]
    print("\nThe cloud stays up until Ctrl-C. Ask its BigQuery, in another terminal:")
    print(f"  make query SQL='SELECT * FROM `{VIEWS}.{views[0] if views else 'VIEW'}` LIMIT 5'")
    print("Or operate its mirror, by the command that the real one has:")
    print(f"  . {shlex.quote(str(command.write(cloud, work)))}")
    print(f"  ./mirror request {pipeline} --follow")
    print("The first of these two lines also has Google's own client libraries find this cloud.", flush=True)


def verdict(checks: Sequence[Check], began: float) -> None:
    """Print what the demo has shown. `began`: by the monotonic clock."""
    print(f"\n{_verdict(checks)} after {time.monotonic() - began:.1f} s.", flush=True)


def _verdict(checks: Sequence[Check]) -> str:
    missing = sum(bool(check.failure) for check in checks)
    if not all(check.agrees or check.failure for check in checks):
        return "NOT ALL TABLES AGREE"
    if missing == len(checks):
        return "NO TABLE WAS MIRRORED"
    return f"All tables agree but {missing}, which failed," if missing else "All tables agree"


def _interest(check: Check) -> tuple[bool, str]:
    """Views with rows come first."""
    return not check.through_view, check.table.table


def _glob(check: Check) -> str:
    """A table's pattern for EXCLUDE. What a shell, make or a glob would not take as it is may be any character."""
    return re.sub(r"[^\w.]", "?", _plain(check))


def _plain(check: Check) -> str:
    """A table's name as patterns see it."""
    return f"{check.table.schema}.{check.table.name}"


def _hint(glob: str, names: Sequence[str]) -> str:
    """What may be wrong with a glob that matches nothing."""
    if "," in glob:
        return "Write blanks between patterns, and no commas."
    if any(each.startswith(f"{glob} ") for each in names):
        return "Write ? for a blank in a name."
    same = [each for each in names if each.casefold() == glob.casefold() or each.partition(".")[2] == glob]
    return f"It is {same[0]}." if same else "A pattern is schema.table: case counts, and * stands for anything."
