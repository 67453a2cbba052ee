"""`make bench`: measure, and print one table. If all benches ran, also write docs/benchmarks.md, its chart and the README's figures."""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import chart, events, fanout, lane, reconcile, report, small, start, whole
from bench.figures import Figure
from bench.progress import Progress
from local import readme
from local.cloud import REPOSITORY

CHART = REPOSITORY / "docs" / "bench.svg"
DOCUMENT = CHART.with_name("benchmarks.md")
WORK = REPOSITORY / "build" / "bench"
_MEASURED = ("functions", "shared", "cli", "local", "bench")
"""The folders whose code is measured."""

_BENCHES: dict[str, Callable[[Path, Progress], list[Figure]]] = {
    "lane": lane.measure,
    "events": events.measure,
    "start": start.measure,
    "fanout": fanout.measure,
    "reconcile": reconcile.measure,
    "small": small.measure,
    "whole": whole.measure,
}


def main() -> None:
    """Run the benches that are named on the command line, or all of them."""
    names = _arguments().names or list(_BENCHES)
    progress = Progress(sys.stderr)
    where = _where()
    figures: list[Figure] = []
    for name in names:
        shutil.rmtree(WORK, ignore_errors=True)
        WORK.mkdir(parents=True)
        figures += _BENCHES[name](WORK, progress)
    sys.stdout.write(f"\n{report.table(figures)}\n{where}\n")
    if set(names) == set(_BENCHES):
        _write(figures, where)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    names = [*_BENCHES, []]  # the empty list stands for no name
    parser.add_argument("names", nargs="*", choices=names, metavar="NAME", help=f"of {', '.join(_BENCHES)}; all")
    return parser.parse_args()


def _where() -> str:
    """A sentence with the commit, whether its code has changes, the number of cores, and the machine's load."""
    git = ["git", "-C", str(REPOSITORY)]
    commit = _said([*git, "rev-parse", "--short", "HEAD"]).strip()
    changed = " with changes" if _said([*git, "status", "--porcelain", "--", *_MEASURED]) else ""
    load = os.getloadavg()[0]
    return f"Measured on {commit or 'no commit'}{changed}, on {os.cpu_count()} cores at a load of {load:.1f}."


def _said(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _write(figures: Sequence[Figure], where: str) -> None:
    CHART.write_text(chart.svg(figures), encoding="utf-8")
    readme.write(report.PART, report.part(figures, where, CHART.name), DOCUMENT)
    readme.write(report.HEADLINES, report.of_all(figures), readme.README)


if __name__ == "__main__":
    main()
