"""Shows what is being measured: on one line that changes on a terminal, else by a new line every few seconds."""

import time
from typing import TextIO

_NOW_AND_THEN = 5.0
"""Seconds between two lines about one step, if the output is not a terminal."""


class Progress:
    """The steps of all benches, with the time since this was created."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._began = time.monotonic()
        self._told = 0.0
        self._step = ""

    def step(self, what: str) -> None:
        """Show that a step begins."""
        self._step = what
        self._write(what)

    def at(self, how_far: str) -> None:
        """Show how far the current step is."""
        if self._out.isatty():
            self._out.write("\x1b[F\x1b[2K")
        elif time.monotonic() - self._told < _NOW_AND_THEN:
            return
        self._write(f"{self._step}: {how_far}")

    def _write(self, what: str) -> None:
        self._told = time.monotonic()
        self._out.write(f"{self._told - self._began:6.1f} s  {what}\n")
        self._out.flush()
