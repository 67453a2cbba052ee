"""
What this project raises on purpose.

    Permanent   the same event would fail again: dead-lettered with its reason, and acknowledged
    Denied      somebody has to let us in: handed back four times, then as good as Permanent
    HandBack    this invocation's time is spent: the message is handed back, and delivered again
    Busy        a service cannot answer at this moment: wait, and ask again
    LostRace    somebody else wrote first: look again
    NotThere    a LostRace, if another look tells of another state; if not, what is named is missing for good

Whatever else is raised, here or in a library, is handed back and delivered again, as a HandedBack.
"""

REQUEST_AGAIN = "request the table again"
"""Words of a failure that a replay would meet again."""


class Told(Exception):  # noqa: N818 - these say what a failure is, not that it is one
    """An error whose words are ours, and safe to be told."""


class Permanent(Told):
    """The same event would fail again: it is reported and acknowledged."""

    def __init__(self, reason: str, operation: str | None = None) -> None:
        super().__init__(reason)
        self.operation = operation


class Denied(Told):
    """
    A refusal that does not pass by itself, but by a grant or a setting, which takes minutes to have its effect.

    It is handed back at four deliveries. At the fifth it is reported and acknowledged.
    """

    def __init__(self, reason: str, operation: str | None = None) -> None:
        super().__init__(reason)
        self.operation = operation


class HandBack(Told):
    """This invocation's time is spent on something that goes on. The next delivery takes it up again."""

    def __init__(self, reason: str, operation: str | None = None) -> None:
        super().__init__(reason)
        self.operation = operation


class Busy(Told):
    """A service is busy, overloaded or out of reach. The same call may succeed a moment later."""


class LostRace(Told):
    """What was to be written has changed since it was read. Look again before writing."""


class NotThere(LostRace):
    """Something that was to be written, or that it names, is not there: gone since it was looked at, or missing for good."""


class HandedBack(Told):
    """Something failed that nobody expected. What it said may hold a row's value, so that this says what may be told of it."""
