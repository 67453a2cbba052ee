"""What a bench has found: one figure, and the most that it may be."""

from dataclasses import dataclass

TIMES = "x"
"""The unit of a ratio to a limit, or to a baseline, that was measured in the same run."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one bench. `target`: the most that it may be, None where none is set."""

    bench: str
    what: str
    value: float
    unit: str = TIMES
    target: float | None = None

    @property
    def met(self) -> bool:
        """Whether it is within its target, as it is shown: a figure is no better than its digits."""
        return self.target is None or float(shown(self.value).replace(",", "")) <= self.target


def shown(value: float) -> str:
    """A figure with the digits that mean something: two decimals below ten, one below a hundred, none above."""
    return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f}"
