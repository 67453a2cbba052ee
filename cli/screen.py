"""What a person, or a program, sees of the command: lines and tables that fit the width, or JSON."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

_ANY_WIDTH = 100_000
"""Columns of what is no terminal: a line is for `grep`, and nothing is cut."""
_HEAD = 9
"""Columns of the word that an entry begins with."""
GOOD, WARN, BAD, MINOR = "green", "yellow", "bold red", "dim"


class Screen:
    """
    Where the command writes: results on standard output, progress on standard error.

    With `as_json`, standard output gets one JSON document, and nothing else: the first one.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._has_result = False
        self._out = _console(sys.stdout)
        self._progress = _console(sys.stderr if as_json else sys.stdout)

    def say(self, text: str = "", style: str = "") -> None:
        """A line for a person."""
        if not self.as_json:
            self._out.print(printable(text), style=style or None)

    def result(self, content: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """The result for a program."""
        if self.as_json and not self._has_result:
            self._has_result = True
            print(json.dumps(content, indent=2))  # noqa: T201 - as it is, whatever the width

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str] = ()) -> None:
        """A table for a person. Cells are folded where it is wider than the terminal. `styles`: one for each row."""
        if self.as_json:
            return
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
        for place, head in enumerate(heads):
            table.add_column(head, overflow="fold", ratio=None, no_wrap=not place and not self._out.is_terminal)
        for place, row in enumerate(rows):
            table.add_row(*map(one_line, row), style=styles[place] if styles else None)
        with self._out.capture() as drawn:
            self._out.print(table)
        for line in drawn.get().splitlines():
            print(line if self._out.is_terminal else line.rstrip())  # noqa: T201 - as it is drawn

    def entry(self, head: str, lines: Sequence[str], style: str = "") -> None:
        """A word, and lines beside it, which are folded there. Without a terminal it is all in one line."""
        if self.as_json:
            return
        if not self._out.is_terminal:
            self.say(one_line(f"  {head:{_HEAD}}{'  '.join(lines)}"))
            return
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(width=_HEAD)
        grid.add_column(overflow="fold")
        for place, line in enumerate(lines):
            grid.add_row(Text("" if place else f"  {head}", style=style), Text(one_line(line)))
        self._out.print(grid)

    def step(self, text: str, style: str = "") -> None:
        """A line that says what has happened while we wait."""
        self._progress.print(one_line(text), style=style or None)

    @contextmanager
    def waiting(self, text: str) -> Iterator["Waiting"]:
        """While the body runs, a last line that says what we wait for, on a terminal only. It can be changed."""
        if not self._progress.is_terminal:
            yield Waiting(None)
            return
        with self._progress.status(printable(text), spinner="dots") as status:
            yield Waiting(status)


class Waiting:
    """The line that says what we wait for."""

    def __init__(self, status: Any) -> None:
        self._status = status

    def say(self, text: str) -> None:
        if self._status:
            self._status.update(printable(text))


def printable(text: str) -> str:
    """A text of anybody's, without what would move a terminal's cursor or change its colours."""
    return "\n".join(map(one_line, text.split("\n")))


def one_line(text: str) -> str:
    """The same in one line, whatever is in it."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _console(file: TextIO) -> "Console":
    from rich.console import Console

    width = None if file.isatty() else _ANY_WIDTH
    return Console(
        file=file,
        width=width,
        force_terminal=file.isatty(),  # FORCE_COLOR would have a pipe taken for one
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=False,
    )
