"""Tells what is being measured: in place on a terminal, else a line for each step and now and then how far it is."""

import time
from typing import TextIO

_NOW_AND_THEN = 5.0
"""Seconds between two lines about one step where they cannot be written over each other."""


class Progress:
    """The steps of all benches, with the time since the first began."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._began = time.monotonic()
        self._told = 0.0
        self._step = ""

    def step(self, what: str) -> None:
        """Say what begins now."""
        self._step = what
        self._write(what)

    def at(self, how_far: str) -> None:
        """Say how far the step is."""
        if self._out.isatty():
            self._out.write("\x1b[F\x1b[2K")
        elif time.monotonic() - self._told < _NOW_AND_THEN:
            return
        self._write(f"{self._step}: {how_far}")

    def _write(self, what: str) -> None:
        self._told = time.monotonic()
        self._out.write(f"{self._told - self._began:6.1f} s  {what}\n")
        self._out.flush()
