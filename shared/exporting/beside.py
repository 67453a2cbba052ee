"""Work that is done beside the reading of tables, some at once, and not more of it than memory allows."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Semaphore
from types import TracebackType
from typing import Self, TypeVar

_AT_ONCE = 8
_WAITING = 8
"""Works that are under way, and that wait. Each keeps what a short upload keeps: 1 MiB."""

_Result = TypeVar("_Result")


class Beside:
    """
    Works on several tables at once. When the context ends all are done, and the first failure of one is raised.

    Of a work that has ended nothing is kept: an exception keeps all that its work has held, and there may be thousands.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_AT_ONCE, "beside")
        self._places = Semaphore(_AT_ONCE + _WAITING)
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._pool.shutdown()
        if kind is None and self._failure:
            raise self._failure

    def do(self, work: Callable[[], _Result]) -> "Future[_Result]":
        """Have it done, once there is a place for it. Raises the first failure of another, if there is one by then."""
        self._places.acquire()
        if self._failure:
            self._places.release()
            raise self._failure
        begun = self._pool.submit(work)
        begun.add_done_callback(self._done)
        return begun

    def _done(self, work: "Future[_Result]") -> None:
        self._failure = self._failure or work.exception()
        self._places.release()
