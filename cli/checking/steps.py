"""The steps of a check: what was looked at, what was found there, and what to do where it is not good."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cli.problems import LOG_IN, Problem
from cli.screen import BAD, GOOD, MINOR, Screen

_WORDS = {True: ("good", GOOD), False: ("bad", BAD), None: ("unseen", MINOR)}
_REPLAY = ", then replay the message"
"""What remedies end with that are made for dead letters. A canary is none."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a look has found. `ok`: None where it could not be looked at. `remedy`: what to do where it is not good."""

    ok: bool | None
    found: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A step, and the seconds that it took."""

    step: str
    seconds: float
    result: Found

    def to_json(self) -> dict[str, Any]:
        result = self.result
        return {
            "step": self.step,
            "ok": result.ok,
            "seconds": round(self.seconds, 1),
            "found": result.found,
            "remedy": result.remedy,
        }


class Steps:
    """The steps so far. Each is shown as it comes."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.all: list[Step] = []

    def add(self, step: str, seconds: float, found: Found) -> Found:
        """A step has been taken."""
        self.all.append(Step(step, seconds, found))
        word, style = _WORDS[found.ok]
        self._screen.step(f"  {word:6} {seconds:6.1f} s  {step}: {found.found}", style if found.ok is not True else "")
        if found.remedy:
            self._screen.step(f"                   -> {found.remedy}")
        return found

    def look(self, step: str, look: Callable[[], Found]) -> Found:
        """
        Take a step that is one look. What you may not look at is no fault.

        Raises Problem if nobody is logged in.
        """
        from google.api_core.exceptions import GoogleAPICallError, RetryError
        from google.auth.exceptions import GoogleAuthError

        from shared.errors import Told

        began = time.monotonic()
        try:
            found = look()
        except GoogleAuthError as error:
            raise Problem(f"Cannot look at the {step}: {error}", LOG_IN) from error
        except (Told, GoogleAPICallError) as error:
            found = refused(error)
        except (RetryError, OSError) as error:
            found = Found(False, f"it does not answer: {type(error).__name__}", "Look at the network, and check again")
        return self.add(step, time.monotonic() - began, found)


def refused(error: Exception) -> Found:
    """What a call that you have made says of its step, where it was refused."""
    from google.api_core.exceptions import Forbidden

    if isinstance(error, Forbidden) or isinstance(error.__cause__, Forbidden):
        return Found(None, f"not looked at: {words(error)}")
    said, remedy = parted(str(error))
    return Found(False, said, remedy or "Mend what it says, and check again")


def words(error: Exception) -> str:
    """What Google says of a call that it refuses, without the call's address."""
    from google.api_core.exceptions import GoogleAPICallError

    for each in (error, error.__cause__):
        if isinstance(each, GoogleAPICallError):
            told = [str(one["message"]) for one in each.errors if isinstance(one, dict) and "message" in one]
            return next(iter(told), each.message)
    return str(error)


def parted(told: str) -> tuple[str, str]:
    """What is wrong, and what to do: of the mirror's errors, the last sentence, or what follows the last colon."""
    told = told.removesuffix(".").removesuffix(_REPLAY)
    mark = ". " if ". " in told else ": "
    said, _, remedy = told.rpartition(mark)
    return (said, remedy[:1].upper() + remedy[1:]) if said else (told, "")
