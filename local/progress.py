"""Prints how far each table of a run has come."""

import sys
import time
from collections.abc import Mapping
from typing import TextIO

STATES = ("listed", "exporting", "exported", "loading", "loaded", "view")
"""The states of a table, in order."""

_BARS = {state: "=" * (place + 1) for place, state in enumerate(STATES)}


class Progress:
    """Shows each table's state and the elapsed time: redrawn in place on a terminal, else a line for each change."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._began = time.monotonic()
        self._shown: dict[str, str] = {}
        self._drawn = 0

    def show(self, states: Mapping[str, str]) -> None:
        """Show the states, by table."""
        elapsed = time.monotonic() - self._began
        if self._out.isatty():
            self._redraw(states, elapsed)
        else:
            for table in states:
                if states[table] != self._shown.get(table):
                    self._out.write(f"  {elapsed:5.1f} s  {table:24} {states[table]}\n")
        self._shown = dict(states)
        self._out.flush()

    def _redraw(self, states: Mapping[str, str], elapsed: float) -> None:
        lines = [f"  {table:24} {_BARS.get(state, 'x'):6} {state}" for table, state in states.items()]
        lines.append(f"  {elapsed:5.1f} s")
        self._out.write(f"\x1b[{self._drawn}F" if self._drawn else "")
        self._out.write("".join(f"\x1b[2K{line}\n" for line in lines))
        self._drawn = len(lines)
