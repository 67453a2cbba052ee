"""Which buckets the check takes for too far from the datasets."""

import pytest

from cli.checking.locations import can_load


@pytest.mark.parametrize(
    ("dataset", "bucket"),
    [
        ("US", "ASIA"),
        ("US", "europe-west1"),
        ("EU", "EU"),
        ("EU", "EUROPE-WEST1"),
        ("EU", "EUR4"),
        ("europe-west1", "EUROPE-WEST1"),
        ("europe-west1", "EUR4"),
        ("us-east4", "NAM4"),
        ("asia-northeast1", "ASIA1"),
        ("me-west1", "ME-WEST1"),
    ],
)
def test_a_bucket_that_may_be_loaded_from_is_good(dataset: str, bucket: str) -> None:
    assert can_load(dataset, bucket)


@pytest.mark.parametrize(
    ("dataset", "bucket"),
    [
        ("EU", "US"),
        ("EU", "us-east1"),
        ("EU", "EUROPE-WEST2"),
        ("EU", "EUROPE-WEST6"),
        ("europe-west1", "US"),
        ("europe-west1", "EUROPE-WEST4"),
        ("europe-west2", "EU"),
        ("us-east1", "EUR5"),
        ("northamerica-northeast1", "US"),
        ("australia-southeast1", "ASIA"),
    ],
)
def test_a_bucket_that_cannot_be_loaded_from_is_not(dataset: str, bucket: str) -> None:
    assert not can_load(dataset, bucket)
