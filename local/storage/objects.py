"""Buckets and objects: those of gcp-storage-emulator, with correct generations, names and preconditions."""

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


class Refused(Exception):  # noqa: N818 - for a GET it may be "not modified", which is no error
    """The call is answered with this status, and with Google's `reason` for it."""

    def __init__(self, status: HTTPStatus, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Objects(Emulated):  # type: ignore[misc]  # the emulator ships no types
    """Buckets and objects, in memory. Not safe for threads, so callers must hold a lock."""

    def __init__(self) -> None:
        super().__init__(use_memory_fs=True)
        self._generations = count(time.time_ns() // 1000)

    def find(self, bucket: str, name: str) -> Resource | None:
        resource: Resource | None = self.objects.get(bucket, {}).get(name)
        return resource

    def create_file(self, bucket: str, name: str, content: bytes, resource: Resource, upload_id: str = "") -> None:
        """Store an object as a new generation. Overwrites the emulator's own values for it in `resource`."""
        generation = str(next(self._generations))
        resource |= {"name": name, "generation": generation, "metageneration": "1"}
        resource |= {"id": f"{bucket}/{name}/{generation}", "timeCreated": _now(), "updated": _now()}
        resource |= _links(resource) | {"etag": _etag(resource)}
        super().create_file(bucket, name, content, resource, upload_id)

    def move(self, bucket: str, source: str, destination: str) -> Resource:
        """Rename an object. Content, content type and metadata stay the same. The generation is new."""
        resource: Resource = dict(self.objects[bucket][source])
        self.create_file(bucket, destination, self.get_file(bucket, source), resource)
        self.delete_file(bucket, source)
        return resource

    def patch(self, bucket: str, name: str, changes: Mapping[str, Any]) -> Resource:
        """Change an object's metadata as PATCH does. A field is replaced, null removes it, and `metadata` is merged."""
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
        # The emulator's own path turns `a//b` into `a/b` and refuses `..`. Both are valid names in Cloud Storage.
        return f"{bucket}/{name.encode().hex()}"

    def _bucket_soft_delete_retention_seconds(self, _bucket: str) -> int:
        return 0  # otherwise deleted objects would stay in memory

    def _write_config_to_file(self) -> None:
        """Write nothing. It is never read back, and each change would write all names."""


def check(query: Mapping[str, str], prefix: str, resource: Resource | None, *, reading: bool = False) -> None:
    """
    Raise Refused unless every precondition in the query holds. `resource` is None if there is no object.

    `prefix` is "if" or "ifSource". `reading`: an unmet "not match" is answered with 304, as for a GET. Source: the
    parameters' descriptions in the discovery document storage.v1.
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
    """The URLs of an object, with its name encoded. The emulator does not encode it, so a slash or a `#` breaks them."""
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
