"""A bucket for tests of what is written in one, without a server."""

from shared.errors import Outrun


class Memory:
    """A bucket in memory, every object of which has the generation 1; `calls` are the names and prefixes that were looked for."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.calls: list[str] = []

    def read(self, name: str) -> tuple[bytes, int] | None:
        self.calls.append(name)
        return (self.objects[name], 1) if name in self.objects else None

    def write(self, name: str, content: bytes, onto: int) -> None:
        if onto != int(name in self.objects):
            raise Outrun(name)
        self.objects[name] = content

    def names(self, prefix: str) -> list[str]:
        self.calls.append(prefix)
        return sorted(name for name in self.objects if name.startswith(prefix))

    def delete(self, name: str) -> None:
        self.objects.pop(name, None)
