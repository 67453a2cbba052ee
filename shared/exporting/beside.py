"""Work that is done beside the reading of tables, some at once, and not more of it than memory allows."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Semaphore
from types import TracebackType
from typing import Self

_AT_ONCE = 8
_WAITING = 8
"""Works that are under way, and that wait. Each keeps what a short upload keeps: 1 MiB."""


class Beside:
    """Works on several tables at once. When the context ends all are done, and the first failure of one is raised."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_AT_ONCE, "beside")
        self._places = Semaphore(_AT_ONCE + _WAITING)
        self._works: list[Future[object]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._pool.shutdown()
        for work in self._works if kind is None else ():
            work.result()

    def do(self, work: Callable[[], object]) -> Future[object]:
        """Have it done, once there is a place for it."""
        self._places.acquire()
        begun = self._pool.submit(work)
        begun.add_done_callback(lambda _: self._places.release())
        self._works.append(begun)
        return begun
