"""Whether somebody has stopped the run of a snapshot that is being read."""

from datetime import timedelta

from shared.bucket import Bucket
from shared.times import Clock

_BETWEEN_LOOKS = timedelta(seconds=5)


class Stop:
    """Looks for `file`, which is written to stop the run, every few seconds at most."""

    def __init__(self, bucket: Bucket, file: str, clock: Clock) -> None:
        self._bucket = bucket
        self._file = file
        self._clock = clock
        self._next_look = clock.now()
        self._has_come = False

    def has_come(self) -> bool:
        """Whether the file was there at the last look."""
        if not self._has_come and self._clock.now() >= self._next_look:
            self._has_come = self._bucket.stat(self._file) is not None
            self._next_look = self._clock.now() + _BETWEEN_LOOKS
        return self._has_come
