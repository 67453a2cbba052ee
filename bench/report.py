"""The figures as a table, for the terminal and for docs/benchmarks.md, and some of them as sentences, for the README."""

from collections.abc import Mapping, Sequence

from bench.figures import Figure, shown
from local.readme import Part

PART = Part("bench", "make bench")
"""The part of docs/benchmarks.md that holds the figures."""

HEADLINES = Part("headlines", "make bench")
"""The part of the README that holds some of them."""

_SENTENCES = (
    (
        "A run of exports takes {} times as long as Cloud SQL's operations alone. A loop of `gcloud` takes {} times as long.",
        ("lane", "the mirror: wall time over its operations"),
        ("lane", "a loop of gcloud: wall time over its operations"),
    ),
    (
        "200 small tables take {} s by snapshot. Their exports take {} s, if each takes 20 s.",
        ("small", "by snapshot: a first call"),
        ("small", "200 tables by export: the operations, by arithmetic"),
    ),
    (
        "A database of 10,000 tables is listed, and published, in {} s; by Pub/Sub's limit in [12 s](docs/limits.md#around-the-lane).",
        ("fanout", "10,000 tables: to the last publish confirmed"),
    ),
    ("1,000 views are moved in {} s.", ("reconcile", "1,000 views: all moved")),
    (
        "A table of a run of 10,000 costs {} calls of Cloud Storage, {} of BigQuery and {} of the Admin API.",
        ("events", "10,000 tables: calls of Cloud Storage"),
        ("events", "10,000 tables: calls of BigQuery"),
        ("events", "10,000 tables: calls of the Admin API"),
    ),
)
"""Each with the figures that it names, by bench and what."""

_HEAD = ("bench", "what", "figure", "unit", "target", "met")


def table(figures: Sequence[Figure]) -> str:
    """The table for a terminal, in aligned columns."""
    rows = [_HEAD, *map(_row, figures)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEAD))]
    lines = (
        "  ".join(
            cell.rjust(width) if place in {2, 4} else cell.ljust(width) for place, (cell, width) in _cells(row, widths)
        )
        for row in rows
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)


def markdown(figures: Sequence[Figure]) -> str:
    """The same table in Markdown."""
    rows = [_HEAD, ("---", "---", "--:", "---", "--:", "---"), *map(_row, figures)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def part(figures: Sequence[Figure], where: str, chart: str) -> str:
    """The text of the part: the chart, the figures, and where they were measured."""
    return f"![Each ratio beside its target]({chart})\n\n{markdown(figures)}\n{where}\n"


def headlines(figures: Mapping[tuple[str, str], str], met: Sequence[str]) -> str:
    """
    The text of the README's part.

    `figures`: as they are shown, by bench and what. Each that is named has to be there. `met`: "yes" or "no" for each target.
    """
    lines = (sentence.format(*(_plain(figures[name]) for name in names)) for sentence, *names in _SENTENCES)
    bullets = "".join(f"* {line}\n" for line in lines)
    missed = f"{met.count('no')} of {len(met)} targets are missed"
    return f"**Figures** of `make bench`, on one machine with the local cloud. [All of them](docs/benchmarks.md): {missed}.\n\n{bullets}"


def _plain(figure: str) -> str:
    return figure.rstrip("0").rstrip(".") if "." in figure else figure


def of_all(figures: Sequence[Figure]) -> str:
    """The same, of all figures."""
    by_name = {(figure.bench, figure.what): shown(figure.value) for figure in figures}
    return headlines(by_name, [_met(figure) for figure in figures if figure.target is not None])


def _met(figure: Figure) -> str:
    return "yes" if figure.met else "no"


def _row(figure: Figure) -> tuple[str, ...]:
    if figure.target is None:
        return figure.bench, figure.what, shown(figure.value), figure.unit, "", ""
    target = f"≤ {shown(figure.target)}"
    return figure.bench, figure.what, shown(figure.value), figure.unit, target, _met(figure)


def _cells(row: Sequence[str], widths: Sequence[int]) -> enumerate[tuple[str, int]]:
    return enumerate(zip(row, widths, strict=True))
