"""The figures as a table, for the terminal and for the README."""

from collections.abc import Sequence

from bench.figures import Figure, shown
from local.readme import Part

PART = Part("bench", "make bench")
"""The part of the README that holds the figures."""

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
    """The text of the README's part: the chart, the figures, and where they were measured."""
    return f"![Each ratio beside its target]({chart})\n\n{markdown(figures)}\n{where}\n"


def _row(figure: Figure) -> tuple[str, ...]:
    if figure.target is None:
        return figure.bench, figure.what, shown(figure.value), figure.unit, "", ""
    target = f"≤ {shown(figure.target)}"
    return figure.bench, figure.what, shown(figure.value), figure.unit, target, "yes" if figure.met else "no"


def _cells(row: Sequence[str], widths: Sequence[int]) -> enumerate[tuple[str, int]]:
    return enumerate(zip(row, widths, strict=True))
