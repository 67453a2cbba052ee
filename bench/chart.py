"""The ratios of all benches as one SVG picture. Each has a bar from the limit to its figure, and a mark at its target."""

import math
from collections.abc import Iterator, Sequence
from html import escape

from bench.figures import TIMES, Figure, shown

_WIDTH = 860
_LEFT = 430  # the bars begin here, at the limit, which is 1.0
_RIGHT = 60  # space for the figures
_LINE = 22
_TOP = 30
_GRID = (1, 1.5, 2, 3, 5, 10, 20)
_STYLE = """
  text { font: 12px sans-serif; fill: #57606a } .name { text-anchor: end } .scale { text-anchor: middle }
  .grid { stroke: #d0d7de } .target { stroke: #24292f; stroke-width: 2 }
  .met { fill: #2da44e } .missed { fill: #cf222e } .other { fill: #8c959f }
"""


def svg(figures: Sequence[Figure]) -> str:
    """
    The picture, on a logarithmic scale.

    Figures that are not ratios are left out. A ratio below 1 has a bar of no width.
    """
    ratios = [figure for figure in figures if figure.unit == TIMES]
    most = max([figure.value for figure in ratios] + [figure.target or 1 for figure in ratios] + [2])
    height = _TOP + _LINE * len(ratios) + 10
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
            f"<style>{_STYLE}</style>",
            *(line for at in _GRID if at <= most for line in _grid(at, most, height)),
            *(line for place, figure in enumerate(ratios) for line in _bar(figure, place, most)),
            "</svg>\n",
        ]
    )


def _grid(at: float, most: float, height: int) -> Iterator[str]:
    x = _x(at, most)
    yield f'<text class="scale" x="{x}" y="16">{f"{at:g} x" if at > 1 else "limit"}</text>'
    yield f'<line class="grid" x1="{x}" x2="{x}" y1="22" y2="{height}"/>'


def _bar(figure: Figure, place: int, most: float) -> Iterator[str]:
    top = _TOP + _LINE * place
    end = _x(figure.value, most)
    kind = "other" if figure.target is None else "met" if figure.met else "missed"
    yield f'<text class="name" x="{_LEFT - 8}" y="{top + 13}">{escape(f"{figure.bench}: {figure.what}")}</text>'
    yield f'<rect class="{kind}" x="{_LEFT}" y="{top + 3}" width="{round(end - _LEFT, 1)}" height="13"/>'
    mark = end if figure.target is None else _x(figure.target, most)
    yield f'<text x="{max(end, mark) + 6:.1f}" y="{top + 13}">{shown(figure.value)}</text>'
    if figure.target is not None:
        yield f'<line class="target" x1="{mark}" x2="{mark}" y1="{top + 1}" y2="{top + 18}"/>'


def _x(value: float, most: float) -> float:
    share = math.log(max(value, 1)) / math.log(most)
    return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)
