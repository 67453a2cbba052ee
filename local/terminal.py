"""A program at a terminal: what it says and when, and pictures of that."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

COLUMNS = 100
_ROW = 24.4
"""Pixels, by rich."""
_ERASED = "\x1b[2K"
"""Of a line. What stood there before, such as what is waited for, is not to be seen any more."""
_UP = b"\x1b[1A"
"""Before a line: the one above it is written anew."""
_OTHER = re.compile(r"\x1b\[[0-9;?]*[A-Za-ln-z]")
"""All that moves the cursor or hides it. What sets colours ends in `m`."""
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""Which are on other people's servers."""
_FILM = """\
<svg class="rich-terminal" viewBox="0 0 {width} {{height}}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px }}
{styles}
.said {{ transform: translateY({{end}}px); animation: said {{seconds}}s step-end infinite }}
@media (prefers-reduced-motion: reduce) {{ .said {{ animation: none }} }}
@keyframes said {{ {{frames}} }}
</style>
<defs>{lines}</defs>
<rect fill="#0c0c0c" width="{width}" height="{{height}}" rx="8"/>
<svg x="10" y="10" width="{terminal_width}" height="{{window}}">
<g class="said">{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
</svg>
"""
"""For rich, which fills in what stands in single braces. What is left is filled in after it."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it is at last, with its colours, and how many seconds after the start it was complete."""

    seconds: float
    text: str


def run(start: Callable[[int], "subprocess.Popen[bytes]"]) -> list[Line]:
    """Run a program at a terminal of its own, whose file descriptor `start` is given, and give what it says."""
    terminal, its_side = pty.openpty()
    fcntl.ioctl(its_side, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    began, said, lines = time.monotonic(), b"", list[Line]()
    process = start(its_side)
    os.close(its_side)
    try:
        while part := os.read(terminal, 65536):
            *complete, said = (said + part).split(b"\n")
            for each in complete:
                del lines[len(lines) - each.count(_UP) :]
                lines.append(Line(time.monotonic() - began, _at_last(each)))
    except OSError:  # how a terminal says that nobody writes to it any more
        pass
    os.close(terminal)
    process.wait()
    return lines


def still(title: str, lines: Sequence[str]) -> str:
    """What a terminal shows, as a picture in SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(Text.from_ansi(line))
    return _FONTS.sub("", console.export_svg(title=title, theme=MONOKAI, unique_id="terminal"))


def paused(lines: Sequence[Line], before: str, seconds: float) -> list[Line]:
    """The lines, with a pause before each that begins so, for a reader to read what came before it."""
    pauses, found = 0.0, list[Line]()
    for line in lines:
        pauses += seconds * Text.from_ansi(line.text).plain.startswith(before)
        found.append(replace(line, seconds=line.seconds + pauses))
    return found


def film(lines: Sequence[Line], *, rows: int, hold: float) -> str:
    """
    What a terminal of so many rows shows over time, as an animated picture in SVG, again and again.

    It stands still at the end for `hold` seconds.
    """
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(Text.from_ansi(line.text), no_wrap=True, overflow="crop", crop=True)
    drawn = console.export_svg(theme=MONOKAI, unique_id="film", code_format=_FILM)
    height, seconds = _ROW * rows, lines[-1].seconds + hold
    # The newest line stands in the last row. The lines of one moment come together.
    shown = {line.seconds: _ROW * (rows - place) for place, line in enumerate(lines, 1)}
    frames = [f"{100 * moment / seconds:.2f}% {{ transform: translateY({y:.1f}px) }}" for moment, y in shown.items()]
    return _filled(
        drawn,
        height=f"{height + 20:.1f}",
        window=f"{height:.1f}",
        seconds=f"{seconds:.1f}",
        end=f"{_ROW * (rows - len(lines)):.1f}",
        frames=" ".join([f"0% {{ transform: translateY({height:.1f}px) }}", *frames]),
    )


def _filled(drawn: str, **values: str) -> str:
    for name, value in values.items():
        drawn = drawn.replace(f"{{{name}}}", value)
    return drawn


def _at_last(said: bytes) -> str:
    """A line as it is when all is said of it."""
    text = said.decode(errors="replace").removesuffix("\r").rpartition(_ERASED)[2]
    return _OTHER.sub("", text.rpartition("\r")[2])
