"""A pipeline's bucket, as an operator looks at it."""

from dataclasses import dataclass

from shared.gcp.storage import Bucket


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """Where a bucket is, and for how many seconds it keeps its objects from being deleted. None if it does not."""

    location: str
    retention: int | None


class Objects(Bucket):
    """One bucket. Its methods raise what the adapter's raise."""

    def settings(self) -> BucketSettings:
        """The bucket's own settings, which take a right of their own: storage.buckets.get."""
        with self._translated(""):
            self._bucket.reload(**self._patience)
        return BucketSettings(str(self._bucket.location), self._bucket.retention_period)

    def small(self, glob: str, most: int) -> list[str]:
        """The names that match a glob, of objects of so many bytes at most."""
        asked = {"match_glob": glob, "fields": "items(name,size),nextPageToken", **self._patience}
        with self._translated(""):
            return [blob.name for blob in self._bucket.client.list_blobs(self._bucket, **asked) if blob.size <= most]
