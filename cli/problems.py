"""How the command ends when it cannot do what it was asked for: the value, the reason, and what to do next."""

import difflib
import os
from collections.abc import Iterable

import click

from cli.screen import printable

LOG_IN = "Log in: gcloud auth application-default login"


class Problem(click.ClickException):
    """It did not work. `fix` is what to do next. The exit code is 1."""

    exit_code = 1

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(printable(f"{what}\n  {fix}"))
        self.what, self.fix = what, fix


class WrongUse(Problem):
    """What was asked for cannot be. The exit code is 2."""

    exit_code = 2


def unanswered() -> str:
    """What to do where nothing answers."""
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        return (
            "If it is a demo's: is it still up? One that was begun anew has other addresses: . build/demo/environment"
        )
    return "Look at the network."


def unknown(what: str, name: str, known: Iterable[str]) -> WrongUse:
    """There is no such thing. It names the one that was meant, if one is near, else all that there are."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    fix = f"Did you mean {near[0]}?" if near else f"There is {', '.join(names)}."
    return WrongUse(f"There is no {what} {name!r}.", fix)
