"""The subscription of the dead letters: what is taken out of it and not acknowledged is given back at once."""

from collections.abc import Iterator, Sequence
from typing import Protocol, Self

from cli.letters import Letter, Pulled


class PubSub(Protocol):
    """Pulls, acknowledges and gives back."""

    def pull(self, subscription: str) -> list[Pulled]:
        """Messages, which nobody else gets until their deadline. None if none come in some seconds."""

    def acknowledge(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Remove messages."""

    def give_back(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Have messages be there for others at once."""


class Mailbox:
    """The dead letters. As a context, it gives back at its end what was not acknowledged."""

    def __init__(self, pubsub: PubSub, subscription: str) -> None:
        self._pubsub = pubsub
        self._subscription = subscription
        self._held: dict[str, str] = {}
        self._gone: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._held:
            self._pubsub.give_back(self._subscription, list(self._held.values()))

    def letters(self) -> Iterator[Letter]:
        """
        Each once. One that is delivered to us a second time, past its deadline, is held by its newest delivery.
        """
        while pulled := self._pubsub.pull(self._subscription):
            known = self._held.keys() | self._gone
            self._held |= {each.message_id: each.ack_id for each in pulled}
            for each in pulled:
                if each.message_id in self._gone:
                    self.acknowledge(Letter(each))
            new = [each for each in pulled if each.message_id not in known]
            yield from map(Letter, new)
            if not new:
                return

    def acknowledge(self, letter: Letter) -> None:
        """Remove it."""
        message_id = letter.pulled.message_id
        self._pubsub.acknowledge(self._subscription, [self._held[message_id]])
        self._gone.add(message_id)
        del self._held[message_id]
