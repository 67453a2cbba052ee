"""
What this project raises on purpose.

    Permanent   the same event would fail again: dead-lettered with its reason, and acknowledged
    Denied      somebody has to let us in: handed back four times, then as good as Permanent
    HandBack    this invocation's time is spent: the message is handed back, and delivered again
    Busy        a service cannot answer at this moment: wait, and ask again
    LostRace    somebody else wrote first: look again
    NotThere    a LostRace, if another look tells of another state; if not, what is named is missing for good

Whatever else is raised, here or in a library, is handed back and delivered again.
"""


class Permanent(Exception):  # noqa: N818 - it says what the failure is, not that it is one
    """The same event would fail again: it is reported and acknowledged."""

    def __init__(self, reason: str, operation: str | None = None) -> None:
        super().__init__(reason)
        self.operation = operation


class Denied(Exception):  # noqa: N818
    """
    A refusal that does not pass by itself, but by a grant or a setting, which takes minutes to have its effect.

    It is handed back at four deliveries. At the fifth it is reported and acknowledged.
    """

    def __init__(self, reason: str, operation: str | None = None) -> None:
        super().__init__(reason)
        self.operation = operation


class HandBack(Exception):  # noqa: N818
    """This invocation's time is spent on something that goes on. The next delivery takes it up again."""

    def __init__(self, reason: str, operation: str | None = None) -> None:
        super().__init__(reason)
        self.operation = operation


class Busy(Exception):  # noqa: N818
    """A service is busy, overloaded or out of reach. The same call may succeed a moment later."""


class LostRace(Exception):  # noqa: N818
    """What was to be written has changed since it was read. Look again before writing."""


class NotThere(LostRace):
    """Something that was to be written, or that it names, is not there: gone since it was looked at, or missing for good."""
