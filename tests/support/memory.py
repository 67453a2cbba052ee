"""A bucket for tests of what is written in one, without a server."""

from collections.abc import Mapping
from datetime import UTC, datetime

from shared.bucket import File, Listed
from shared.errors import LostRace


class Memory:
    """
    A bucket in memory, every object of which has the generation 1, and the storage that has it under each name.

    `calls` are the names and prefixes that were looked for; `now` is when something is written.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.marks: dict[str, Mapping[str, str]] = {}
        self.calls: list[str] = []
        self.written_at: dict[str, datetime] = {}
        self.now = datetime(2026, 11, 22, 2, tzinfo=UTC)

    def bucket(self, _name: str) -> "Memory":
        return self

    def read(self, name: str) -> tuple[bytes, int] | None:
        self.calls.append(name)
        return (self.objects[name], 1) if name in self.objects else None

    def stat(self, name: str) -> File | None:
        self.calls.append(name)
        return self._file(name) if name in self.objects else None

    def write(self, name: str, content: bytes, onto: int, marks: Mapping[str, str] | None = None) -> None:
        if onto != int(name in self.objects):
            raise LostRace(name)
        self.objects[name] = content
        self.written_at[name] = self.now
        self.marks[name] = marks or {}

    def mark(self, name: str, marks: Mapping[str, str]) -> File | None:
        self.marks[name] = marks
        return self.stat(name)

    def move(self, file: File, name: str, onto: int, marks: Mapping[str, str]) -> File:
        self.write(name, self.objects[file.name], onto, marks)
        self.delete(file.name)
        return self._file(name)

    def names(self, prefix: str) -> list[str]:
        self.calls.append(prefix)
        return sorted(name for name in self.objects if name.startswith(prefix))

    def listing(self, prefix: str) -> list[Listed]:
        return [
            Listed(name, self.written_at.get(name, self.now), self.marks.get(name, {})) for name in self.names(prefix)
        ]

    def folders(self, prefix: str) -> list[str]:
        ends = (name.find("/", len(prefix)) + 1 for name in self.names(prefix))
        return sorted({name[:end] for name, end in zip(self.names(prefix), ends, strict=True) if end})

    def delete(self, name: str, generation: int | None = None) -> None:
        if generation in {None, 1}:
            self.objects.pop(name, None)

    def _file(self, name: str) -> File:
        return File(name, 1, len(self.objects[name]), self.marks.get(name, {}))
