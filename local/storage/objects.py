"""What Cloud Storage holds: gcp-storage-emulator's state, with generations, names and preconditions made to count."""

import time
from base64 import b64encode
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import count
from typing import Any
from urllib.parse import quote

from gcp_storage_emulator.storage import Storage as Emulated

Resource = dict[str, Any]


class Refused(Exception):  # noqa: N818 - what the caller is told, which for a GET may be "not modified"
    """The answer is an error, with Google's `reason` for it."""

    def __init__(self, status: HTTPStatus, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Objects(Emulated):  # type: ignore[misc]  # the emulator ships no types
    """Buckets and objects, in memory. Not safe for threads: callers hold a lock."""

    def __init__(self) -> None:
        super().__init__(use_memory_fs=True)
        self._generations = count(time.time_ns() // 1000)

    def find(self, bucket: str, name: str) -> Resource | None:
        resource: Resource | None = self.objects.get(bucket, {}).get(name)
        return resource

    def create_file(self, bucket: str, name: str, content: bytes, resource: Resource, upload_id: str = "") -> None:
        """Store an object, as a new generation whatever the emulator had put in its resource."""
        generation = str(next(self._generations))
        resource |= {"name": name, "generation": generation, "metageneration": "1"}
        resource |= {"id": f"{bucket}/{name}/{generation}", "timeCreated": _now(), "updated": _now()}
        resource |= _links(resource) | {"etag": _etag(resource)}
        super().create_file(bucket, name, content, resource, upload_id)

    def move(self, bucket: str, source: str, destination: str) -> Resource:
        """Rename an object: the same content, content type and metadata, in a new generation."""
        resource: Resource = dict(self.objects[bucket][source])
        self.create_file(bucket, destination, self.get_file(bucket, source), resource)
        self.delete_file(bucket, source)
        return resource

    def patch(self, bucket: str, name: str, changes: Mapping[str, Any]) -> Resource:
        """Change an object's metadata as PATCH does: what is named is replaced, null removes, `metadata` is merged."""
        resource = deepcopy(self.objects[bucket][name])
        for field, value in changes.items():
            merged = resource.get(field, {}) | value if field == "metadata" and value else value
            resource[field] = _without_nulls(merged) if isinstance(merged, dict) else merged
        resource = _without_nulls(resource)
        resource |= {"metageneration": str(int(resource["metageneration"]) + 1), "updated": _now()}
        resource["etag"] = _etag(resource)
        self.objects[bucket][name] = resource
        return resource

    def _object_path(self, bucket: str, name: str) -> str:
        # The emulator's own path folds `a//b` into `a/b` and refuses `..`, which are names like any other.
        return f"{bucket}/{name.encode().hex()}"

    def _bucket_soft_delete_retention_seconds(self, _bucket: str) -> int:
        return 0  # What is deleted would stay in memory.

    def _write_config_to_file(self) -> None:
        """Nothing is ever read back, and all names would be written at each change."""


def check(query: Mapping[str, str], prefix: str, resource: Resource | None, *, reading: bool = False) -> None:
    """
    Refuse unless every precondition in the query holds for the object, or for its absence.

    Source: the parameters' descriptions in the discovery document storage.v1.
    """
    for field, absent in (("Generation", "0"), ("Metageneration", None)):
        wanted, unwanted = query.get(f"{prefix}{field}Match"), query.get(f"{prefix}{field}NotMatch")
        actual = resource[field.lower()] if resource else absent
        if wanted is not None and unwanted is not None:
            raise Refused(HTTPStatus.BAD_REQUEST, "invalid", f"{prefix}{field}Match and NotMatch exclude each other.")
        if wanted is not None and wanted != actual:
            raise _unmet(HTTPStatus.PRECONDITION_FAILED)
        if unwanted is not None and (resource is None or unwanted == actual):
            raise _unmet(HTTPStatus.NOT_MODIFIED if reading else HTTPStatus.PRECONDITION_FAILED)


def _unmet(status: HTTPStatus) -> Refused:
    return Refused(status, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")


def _links(resource: Resource) -> Resource:
    """The addresses of an object. The emulator does not encode names in them, which a slash or a `#` breaks."""
    host = resource["mediaLink"].partition("/download/")[0]
    path = f"storage/v1/b/{resource['bucket']}/o/{quote(resource['name'], safe='')}"
    media = f"{host}/download/{path}?generation={resource['generation']}&alt=media"
    return {"mediaLink": media, "selfLink": f"{host}/{path}"}


def _etag(resource: Resource) -> str:
    return b64encode(f"{resource['generation']}/{resource['metageneration']}".encode()).decode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _without_nulls(fields: Resource) -> Resource:
    return {field: value for field, value in fields.items() if value is not None}
