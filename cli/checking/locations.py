"""From which buckets BigQuery loads, by where they are. Nothing here does any I/O."""

_CONTINENTS = {"us": "us", "nam": "us", "eu": "eu", "eur": "eu", "europe": "eu", "asia": "asia"}
_OUTSIDE = frozenset({"europe-west2", "europe-west6"})
"""London and Zurich are in no multi-region."""


def can_load(dataset: str, bucket: str) -> bool:
    """
    Whether BigQuery may load into a dataset from a bucket. It is true, too, where their locations do not tell.

    The US multi-region loads from anywhere, another one from what it contains, and a region from itself. Two regions that a
    bucket has are not told by its location: https://cloud.google.com/bigquery/docs/batch-loading-data
    """
    into, source = dataset.casefold(), bucket.casefold()
    if _is_region(into) and _is_region(source):
        return into == source
    return into == "us" or _continent(into) == _continent(source)


def _is_region(location: str) -> bool:
    return "-" in location


def _continent(location: str) -> str:
    """Such as `us` of us-east1, US and NAM4. The location itself, where no multi-region contains it."""
    if location in _OUTSIDE:
        return location
    return _CONTINENTS.get(location.partition("-")[0].rstrip("0123456789"), location)
