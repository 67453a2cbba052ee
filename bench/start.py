"""
The start: the time until each function's first useful call, and its memory, compared with an empty function.

And the time until the command `mirror` has said its help.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from threading import Event as Flag

import psutil

from bench import arrivals, deployed
from bench.deployed import PIPELINE, Deployed, Event
from bench.figures import Figure
from bench.progress import Progress
from local.cloud import PROJECT, REPOSITORY
from local.functions import Function
from local.metadata import Metadata
from local.server import Answer, Call, Server

ROUNDS = 10
_EVENTS = 2000
_PATIENCE = 60.0
"""Seconds to wait for a function's call or answer."""
_EMPTY = """
import functions_framework

@functions_framework.cloud_event
def empty(event):
    pass
"""


@dataclass(frozen=True)
class _Case:
    """
    A start that is measured.

    If `calls`, it ends when the function calls a service for its event. Otherwise it ends with the function's answer.
    """

    name: str
    function: str
    event: Event
    calls: bool
    target: float | None


@dataclass(frozen=True)
class _Started:
    """Seconds since the process was started, and bytes resident at that time."""

    seconds: float
    memory: int


class _Services:
    """All services at one address. Each call is answered with 404, and sets `called`."""

    def __init__(self) -> None:
        self.called = Flag()
        self.server = Server(self._answer)

    def _answer(self, _: Call) -> Answer:
        self.called.set()
        return Answer(404, b'{"error": {"code": 404, "message": "Not found"}}', {"Content-Type": "application/json"})


def measure(work: Path, progress: Progress) -> list[Figure]:
    """
    Start each function `ROUNDS` times, in turns, and compare the medians with the empty function's.

    Then send many irrelevant events to the empty function and to `refresh_views`, and have the command say its help.
    """
    cases = _cases()
    found: dict[str, list[_Started]] = {case.name: [] for case in cases}
    with _around(work) as (functions, services):
        progress.step(f"start: {len(cases)} functions, {ROUNDS} times over")
        for number in range(-1, ROUNDS):  # round -1 fills the disk's cache, and is not counted
            for case in cases:
                progress.at(f"round {number + 1}, {case.name}")
                started = _start(functions, services, case)
                found[case.name] += [started] if number >= 0 else []
        return [*_ratios(cases, found), *_rates(functions, progress), _help(progress)]


def _cases() -> list[_Case]:
    """The empty function comes first: it is the baseline."""
    nothing = arrivals.irrelevant()
    return [
        _Case("an empty function", "empty", nothing, calls=False, target=None),
        _Case("refresh_views, to the answer to an irrelevant event", "refresh_views", nothing, calls=False, target=1.3),
        *(_Case(name, name, event, calls=True, target=2.5) for name, event in arrivals.relevant().items()),
    ]


@contextmanager
def _around(work: Path) -> Iterator[tuple[Deployed, _Services]]:
    services = _Services()
    url = services.server.url
    with Metadata(PROJECT) as metadata:
        environ = {
            "CLOUDSQL_ADMIN_ENDPOINT": url,
            "DATAFLOW_ENDPOINT": url,
            "BIGQUERY_EMULATOR_HOST": url,
            "STORAGE_EMULATOR_HOST": url,
            **metadata.environ,
        }
        dataflow = {"template": "gs://bench/template.json", "region": "europe-west1"}
        try:
            yield Deployed(work, {"bench": PIPELINE | {"dataflow": dataflow}}, environ, empty=_EMPTY), services
        finally:
            services.server.stop()


def _start(functions: Deployed, services: _Services, case: _Case) -> _Started:
    services.called.clear()
    began = time.monotonic()
    function = functions.start(case.function)
    try:
        with closing(deployed.send(function, case.event)) as connection:
            if not case.calls:
                deployed.answered(connection)
            elif not services.called.wait(_PATIENCE):
                raise RuntimeError(f"{case.function} has called nothing for {_PATIENCE:g} s")
            return _Started(time.monotonic() - began, function.memory())
    finally:
        function.kill()


def _ratios(cases: list[_Case], found: dict[str, list[_Started]]) -> Iterator[Figure]:
    baseline = cases[0]
    seconds = {case.name: median(each.seconds for each in found[case.name]) for case in cases}
    memory = {case.name: median(each.memory for each in found[case.name]) for case in cases}
    yield Figure("start", f"{baseline.name}: to its answer", seconds[baseline.name] * 1000, "ms")
    yield Figure("start", f"{baseline.name}: memory", memory[baseline.name] / 2**20, "MiB")
    for case in cases[1:]:
        until = "" if not case.calls else ", to its first call"
        yield Figure("start", f"{case.name}{until}", seconds[case.name] / seconds[baseline.name], target=case.target)
    for case in cases[1:]:
        yield Figure("start", f"{case.name}: memory", memory[case.name] / memory[baseline.name], target=case.target)


def _rates(functions: Deployed, progress: Progress) -> Iterator[Figure]:
    progress.step(f"start: {_EVENTS} irrelevant events, one after the other")
    empty, ours = (_rate(functions, name) for name in ("empty", "refresh_views"))
    yield Figure("start", "refresh_views: irrelevant events a second of one core", ours, "/s")
    yield Figure("start", "the empty function's rate over that", empty / ours)


def _help(progress: Progress) -> Figure:
    """What a person waits for who asks for the command's help. It is called once before, and sets itself up."""
    progress.step(f"start: ./mirror --help, {ROUNDS} times over")
    seconds = []
    for _ in range(-1, ROUNDS):
        began = time.monotonic()
        subprocess.run([REPOSITORY / "mirror", "--help"], stdout=subprocess.DEVNULL, check=True)
        seconds.append(time.monotonic() - began)
    return Figure("start", "./mirror --help", median(seconds[1:]), "s", target=0.4)


def _rate(functions: Deployed, name: str) -> float:
    """Irrelevant events that a function handles in a second of processor time."""
    path, headers, body = arrivals.irrelevant()
    with functions.start(name) as function:
        connection = HTTPConnection(function.url.removeprefix("http://"), timeout=_PATIENCE)
        with closing(connection):
            used = _processor_time(function)
            for _ in range(_EVENTS):
                connection.request("POST", path, body, headers)
                deployed.answered(connection)
            return _EVENTS / (_processor_time(function) - used)


def _processor_time(function: Function) -> float:
    """Processor seconds that all processes of a function have used."""
    master = psutil.Process(function.pid)
    times = [process.cpu_times() for process in [master, *master.children(recursive=True)]]
    return float(sum(each.user + each.system for each in times))
