"""Buckets and their objects, in memory. Names of objects are in the order of their UTF-8, which is that of Python's text."""

import re
import time
from base64 import b64encode
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import md5
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import quote

import google_crc32c

from local.rest import ApiError

Resource = dict[str, Any]
WRITABLE = frozenset({"metadata", "contentType", "cacheControl", "contentDisposition", "contentLanguage", "customTime"})
"""What a client may say of an object."""

_LAST = "\U0010ffff"
_GLOB = re.compile(r"\*\*|[*?]|\[[^]]+\]|\{[^}]+\}|.", re.DOTALL)
_generations = count(time.time_ns() // 1000)


class Page(NamedTuple):
    """A part of a list: objects, and the beginnings of names that stand for all others. `more`: after which the next begins."""

    items: list[Resource]
    prefixes: list[str]
    more: str | None


@dataclass(frozen=True)
class Stored:
    """One generation of an object."""

    resource: Resource
    content: bytes


class Bucket:
    """The objects of one bucket. Not safe for threads, so callers must hold a lock. `url`: of the service, for links."""

    def __init__(self, name: str, url: str, location: str = "US") -> None:
        self.name = name
        self.location = location
        self.created = now()
        self._url = url
        self._objects: dict[str, Stored] = {}
        self._names: list[str] = []

    def find(self, name: str) -> Stored | None:
        return self._objects.get(name)

    def put(self, name: str, content: bytes, given: Resource) -> Resource:
        """
        Store an object as a new generation, with what is `given` of it. Gives its resource.

        Raises ApiError if the content has other checksums than are given.
        """
        sums = {
            "md5Hash": _text(md5(content).digest()),
            "crc32c": _text(google_crc32c.value(content).to_bytes(4, "big")),
        }
        for sum_, value in sums.items():
            if given.get(sum_, value) != value:
                raise ApiError(400, "invalid", f"Provided {sum_} {given[sum_]} doesn't match calculated {value}.")
        described = {field: given[field] for field in given.keys() & WRITABLE}
        resource = described | sums | self._identity(name) | {"size": str(len(content))}
        if name not in self._objects:
            insort(self._names, name)
        self._objects[name] = Stored(resource, content)
        return resource

    def patch(self, name: str, changes: Mapping[str, Any]) -> Resource:
        """Change what is said of an object. A field is replaced, null removes it, and `metadata` is merged."""
        stored = self._objects[name]
        merged = dict(stored.resource)
        for field, value in changes.items():
            new = merged.get(field, {}) | value if field == "metadata" and value else value
            merged[field] = _without_nulls(new) if isinstance(new, dict) else new
        generation, changed = merged["generation"], int(merged["metageneration"]) + 1
        merged |= {"metageneration": str(changed), "updated": now(), "etag": _etag(generation, changed)}
        self._objects[name] = Stored(_without_nulls(merged), stored.content)
        return self._objects[name].resource

    def delete(self, name: str) -> None:
        del self._objects[name]
        del self._names[bisect_left(self._names, name)]

    def page(self, prefix: str, delimiter: str, glob: str, after: str, size: int) -> Page:
        """
        At most `size` objects and prefixes.

        https://cloud.google.com/storage/docs/json_api/v1/objects/list
        """
        page, fits = Page([], [], None), _matching(glob)
        at = max(bisect_left(self._names, prefix), bisect_right(self._names, after))
        while at < len(self._names) and (name := self._names[at]).startswith(prefix):
            if len(page.items) + len(page.prefixes) == size:
                return page._replace(more=after)
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            if cut < 0:
                after, at = name, at + 1
                if fits(name):
                    page.items.append(self._objects[name].resource)
            else:
                shown = name[: cut + len(delimiter)]
                after = shown + _LAST
                at = bisect_right(self._names, after)
                page.prefixes.append(shown)
        return page

    def _identity(self, name: str) -> Resource:
        generation, written = str(next(_generations)), now()
        path = f"storage/v1/b/{self.name}/o/{quote(name, safe='')}"
        return {
            "kind": "storage#object",
            "id": f"{self.name}/{name}/{generation}",
            "name": name,
            "bucket": self.name,
            "generation": generation,
            "metageneration": "1",
            "etag": _etag(generation, 1),
            "storageClass": "STANDARD",
            "timeCreated": written,
            "updated": written,
            "selfLink": f"{self._url}/{path}",
            "mediaLink": f"{self._url}/download/{path}?generation={generation}&alt=media",
        }


def now() -> str:
    """The time, as the service writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _matching(glob: str) -> Callable[[str], bool]:
    """
    Whether a glob matches a name. An empty one matches all.

    https://cloud.google.com/storage/docs/json_api/v1/objects/list#list-objects-and-prefixes-using-glob
    """
    pattern = re.compile("".join(map(_piece, _GLOB.findall(glob))), re.DOTALL)
    return lambda name: not glob or pattern.fullmatch(name) is not None


def _piece(of_glob: str) -> str:
    if of_glob in ("**", "*", "?"):
        return {"**": ".*", "*": "[^/]*", "?": "[^/]"}[of_glob]
    if len(of_glob) == 1:
        return re.escape(of_glob)
    if of_glob[0] == "[":
        return of_glob.replace("[!", "[^").replace("\\", "\\\\")
    return f"(?:{'|'.join(''.join(map(_piece, _GLOB.findall(each))) for each in of_glob[1:-1].split(','))})"


def _etag(generation: str, metageneration: int) -> str:
    return _text(f"{generation}/{metageneration}".encode())


def _text(digest: bytes) -> str:
    return b64encode(digest).decode()


def _without_nulls(fields: Resource) -> Resource:
    return {field: value for field, value in fields.items() if value is not None}
