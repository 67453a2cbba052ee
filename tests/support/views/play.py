"""Plays a history, then has everything be quiet but for one reconcile."""

import io
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from threading import Thread

from shared.tables import Shard
from tests.support.stage import Event
from tests.support.views import entries
from tests.support.views.cloud import Cloud, Version
from tests.support.views.histories import Ask, AtOnce, Between, Delete, Delivery, Form, History, Pin, Step, Tell, Write


@dataclass
class Played:
    """What became of a history. Of each job that has ended: its shard, and the event of its end."""

    cloud: Cloud
    keep_days: int | None
    written: list[Shard] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    log: str = ""

    @property
    def versions(self) -> list[Version]:
        return self.cloud.versions


def play(cloud: Cloud, history: History) -> Played:
    cloud.begin(history.keep_days)
    played = Played(cloud, history.keep_days)
    with redirect_stdout(io.StringIO()) as log:
        for step in history.steps:
            _happen(played, step)
        status = cloud.function.receive({"pipeline": "billing"})
    played.log = log.getvalue()
    assert status == 200, played.log
    return played


def _happen(played: Played, step: Step) -> None:
    match step:
        case Write(shard, how):
            played.events.append(played.cloud.write(shard, how))
            played.written.append(shard)
        case Delete(shard):
            played.cloud.delete(shard)
        case Between():
            _nest(played, step)
        case AtOnce(first, second):
            threads = [Thread(target=_deliver, args=(played, each)) for each in (first, second)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        case _:
            _deliver(played, step)


def _deliver(played: Played, delivery: Delivery) -> None:
    """Bring one delivery; a function that hands it back may do so, and nobody delivers it again."""
    function, shards = played.cloud.function, played.written
    match delivery:
        case Ask(table, unpin):
            request = {"pipeline": "billing"} | ({"tables": [table]} if table else {})
            played.statuses.append(function.receive(request | ({"shard_date": "newest"} if unpin else {})))
        case Pin(back) if shards:
            shard = shards[-1 - back % len(shards)]
            request = {"pipeline": "billing", "tables": [shard.table_id], "shard_date": str(shard.day)}
            played.statuses.append(function.receive(request))
        case Tell(back, form) if shards:
            played.statuses.append(_told(played, played.events[-1 - back % len(shards)], form))


def _told(played: Played, event: Event, form: Form) -> int:
    function = played.cloud.function
    match form:
        case Form.OLDER_LOG:
            return function.hear(*entries.legacy(event))
        case Form.SINK:
            return function.receive(entries.sunk(event), on="job-events")
        case Form.TRUNCATED:
            return function.hear(*entries.truncated(event))
        case Form.AUDIT_LOG:
            return function.hear(*event)


def _nest(played: Played, step: Between) -> None:
    cloud, calls = played.cloud, iter(range(step.call + 1))

    def befalling() -> None:
        if next(calls, None) == step.call:
            cloud.befalling = lambda: None
            for each in step.meanwhile:
                _happen(played, each)

    cloud.befalling = befalling
    _deliver(played, step.delivery)
    cloud.befalling = lambda: None
