"""What a bench measures: figures, each with the most that it may be."""

from dataclasses import dataclass

TIMES = "x"
"""The unit of a ratio: a figure over a limit, or over a baseline that was measured in the same run."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one bench. `target` is the most that it may be, None if there is no target."""

    bench: str
    what: str
    value: float
    unit: str = TIMES
    target: float | None = None

    @property
    def met(self) -> bool:
        """Whether it is within its target. The figure is compared as it is shown, after rounding."""
        return self.target is None or float(shown(self.value).replace(",", "")) <= self.target


def shown(value: float) -> str:
    """A figure in text: two decimals below ten, one below a hundred, none above."""
    return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f}"
