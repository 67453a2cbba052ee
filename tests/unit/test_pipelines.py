"""The PIPELINES setting."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import pipelines
from shared.pipelines import Pipeline

BILLING: dict[str, Any] = {
    "instance": "my-project:europe-west1:billing-db",
    "database": "billing",
    "user": "mirror@my-project.iam",
    "bucket": "my-project-mirror",
    "shards_dataset": "mirror_shards",
    "views_dataset": "mirror",
}
OTHER = BILLING | {"shards_dataset": "other_shards", "views_dataset": "other"}
DEFAULTS: dict[str, Any] = {
    "password_file": None,
    "host": None,
    "ca_file": None,
    "ip_type": "PUBLIC",
    "schemas": ["public"],
    "include": ["*"],
    "exclude": [],
    "time_zone": "UTC",
    "format": "auto",
    "offload": False,
    "loader": "bigquery",
    "unrepresentable": "null",
    "release": "each",
    "max_shrink": None,
    "keep_days": None,
    "dataflow": None,
}


def faults(**entries: Any) -> list[str]:
    return pipelines.read(json.dumps(entries))[1]


def billing(**changes: Any) -> Pipeline:
    found, wrong = pipelines.read(json.dumps({"billing": BILLING | changes}))
    assert not wrong
    return found["billing"]


def test_keys_with_a_default_may_be_left_out() -> None:
    assert billing() == billing(**DEFAULTS)


def test_null_is_absent() -> None:
    assert billing() == billing(**dict.fromkeys(DEFAULTS))


def test_a_pipeline_knows_its_name() -> None:
    assert billing().name == "billing"


@pytest.mark.parametrize(
    "changes",
    [
        {"instance": "example.com:my-project:europe-west1:billing-db"},
        {"host": "/cloudsql/my-project:europe-west1:billing-db"},
        {"host": "127.1.2.3:5432"},
        {"host": "[::1]:5432"},
        {"host": "localhost:5432"},
        {"password_file": "/secrets/password"},
        {"ip_type": "PSC"},
        {"schemas": ["public", "Sales Dept"]},
        {"time_zone": "Europe/Berlin"},
        {"format": "ndjson"},
        {"loader": "scio"},
        {"unrepresentable": "fail"},
        {"release": "together"},
        {"max_shrink": 0.5},
        {"max_shrink": 1},
        {"keep_days": 400},
        {"leave_out": ["*.password"]},
        {"hash": ["public.users.email"]},
        {"dataflow": {"template": "gs://p/load.json", "region": "europe-west1", "parameters": {"mode": "fast"}}},
    ],
)
def test_a_setting_is_taken(changes: dict[str, Any]) -> None:
    pipeline = billing(**changes)

    ((key, value),) = changes.items()
    assert getattr(pipeline, key) == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("instance", "billing-db"),
        ("instance", 17),
        ("database", ""),
        ("user", ["mirror"]),
        ("bucket", "gs://my-project-mirror"),
        ("shards_dataset", "my-project.mirror"),
        ("views_dataset", "mirror-views"),
        ("password_file", 1),
        ("host", "localhost"),
        ("ca_file", "ca.pem"),
        ("ca_file", "OFF"),
        ("ca_file", True),
        ("ip_type", "public"),
        ("schemas", []),
        ("schemas", "public"),
        ("include", []),
        ("include", [""]),
        ("exclude", "tmp_*"),
        ("time_zone", "Berlin"),
        ("time_zone", "../UTC"),
        ("format", "avro"),
        ("offload", "no"),
        ("loader", ["scio"]),
        ("unrepresentable", "drop"),
        ("release", True),
        ("max_shrink", 0),
        ("max_shrink", 1.5),
        ("max_shrink", True),
        ("keep_days", 0),
        ("leave_out", "*.password"),
        ("hash", [""]),
        ("keep_days", 1.0),
        ("keep_days", True),
        ("dataflow", "mirror"),
        ("dataflow", {"template": "gs://p/load.json"}),
        ("dataflow", {"template": "load.json", "region": "europe-west1"}),
        ("dataflow", {"template": "gs://p/load.json", "region": "europe-west1", "job": "load"}),
        ("dataflow", {"template": "gs://p/load.json", "region": "europe-west1", "parameters": {"workers": 3}}),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(key: str, value: Any) -> None:
    (fault,) = faults(billing=BILLING | {key: value})

    assert fault.startswith(f"PIPELINES.billing.{key} must be ")
    assert fault.endswith(f", not {json.dumps(value)}")


ELSEWHERE = [
    "10.0.0.3:5432",
    "db.example.com:5432",
    "[2001:db8::1]:5432",
    "localhost.example.com:5432",
    "127.0.0.1.evil.org:1",
]


@pytest.mark.parametrize("host", ELSEWHERE)
def test_a_host_elsewhere_that_nobody_checks_is_refused_by_name(host: str) -> None:
    (fault,) = faults(billing=BILLING | {"host": host})

    assert fault.startswith(f"PIPELINES.billing.host is {host}, ")
    assert 'set ca_file to the path of its CA, or to "off"' in fault


@pytest.mark.parametrize("host", [*ELSEWHERE, "127.0.0.1:5432"])
@pytest.mark.parametrize("ca_file", ["/secrets/ca/ca.pem", "off"])
def test_a_host_is_taken_with_a_ca_or_without_a_check(host: str, ca_file: str) -> None:
    pipeline = billing(host=host, ca_file=ca_file)

    assert (pipeline.host, pipeline.ca_file) == (host, ca_file)


@pytest.mark.parametrize("ca_file", ["/secrets/ca/ca.pem", "off"])
def test_a_ca_that_would_check_nothing_is_refused(ca_file: str) -> None:
    (fault,) = faults(billing=BILLING | {"ca_file": ca_file})

    assert fault.startswith("PIPELINES.billing.ca_file goes with host: ")


def test_a_ca_for_a_socket_is_refused() -> None:
    (fault,) = faults(billing=BILLING | {"host": "/cloudsql/p:r:i", "ca_file": "/secrets/ca/ca.pem"})

    assert fault.startswith("PIPELINES.billing.ca_file does not go with a socket")


@pytest.mark.parametrize("key", BILLING)
@pytest.mark.parametrize("given_as", [{}, {"null": None}])
def test_a_required_setting_that_is_missing_is_named(key: str, given_as: dict[str, None]) -> None:
    entry = {name: value for name, value in BILLING.items() if name != key} | dict.fromkeys([key] * len(given_as))

    assert faults(billing=entry) == [f"PIPELINES.billing.{key} is missing"]


def test_an_unknown_key_is_named() -> None:
    (fault,) = faults(billing=BILLING | {"exclud": None})

    assert fault.startswith("PIPELINES.billing.exclud is no setting of a pipeline; it knows instance, database,")


@pytest.mark.parametrize("name", ["", "Billing", "1st", "a_b", "a" * 42, "billing\n"])
def test_a_name_that_no_pipeline_may_have_is_named(name: str) -> None:
    (fault,) = faults(**{name: BILLING})

    assert fault.startswith(f"PIPELINES.{name}: ")


def test_the_longest_name_is_taken() -> None:
    assert faults(**{"a" + "-" * 40: BILLING}) == []


@pytest.mark.parametrize("key", ["shards_dataset", "views_dataset"])
def test_two_pipelines_of_one_dataset_are_refused(key: str) -> None:
    (fault,) = faults(billing=BILLING, other=OTHER | {key: BILLING[key]})

    assert BILLING[key] in fault


def test_shards_of_one_pipeline_among_the_views_of_another_are_refused() -> None:
    (fault,) = faults(billing=BILLING, other=OTHER | {"views_dataset": BILLING["shards_dataset"]})

    assert "mirror_shards" in fault


def test_pipelines_of_one_instance_are_taken() -> None:
    assert faults(billing=BILLING, other=OTHER) == []


def test_all_faults_come_in_one_go() -> None:
    found = faults(
        Billing=BILLING | {"format": "avro", "extra": 1},
        other=BILLING | {"user": None},  # and it shares both datasets
        third=17,
    )

    said = "\n".join(found)
    expected = (
        "Billing: ",
        "Billing.format",
        "Billing.extra",
        "other.user",
        "third",
        "mirror_shards",
        "mirror is",
    )
    assert [each for each in expected if each not in said] == []


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '"billing"'])
def test_what_is_no_object_of_pipelines_is_one_fault(text: str) -> None:
    found, wrong = pipelines.read(text)

    assert found == {}
    assert len(wrong) == 1


def test_more_than_cloud_run_holds_is_refused_by_its_size() -> None:
    _, (fault,) = pipelines.read(json.dumps({"billing": BILLING | {"exclude": ["é" * 15_000]}}, ensure_ascii=False))

    assert str(28 * 1024) in fault


@pytest.mark.parametrize(
    ("changes", "table", "mirrored"),
    [
        ({}, "public.orders", True),
        ({}, "sales.orders", False),
        ({"schemas": ["public", "sales"]}, "sales.orders", True),
        ({"include": ["public.o*"]}, "public.orders", True),
        ({"include": ["public.o*"]}, "public.Orders", False),
        ({"include": ["p*ders"]}, "public.orders", True),  # a glob's * crosses dots
        ({"include": ["orders"]}, "public.orders", False),
        ({"exclude": ["public.tmp_*"]}, "public.tmp_1", False),
        ({"include": ["public.tmp_1"], "exclude": ["*.tmp_*"]}, "public.tmp_1", False),
    ],
)
def test_globs_choose_the_tables(changes: dict[str, Any], table: str, mirrored: bool) -> None:
    schema, _, name = table.partition(".")

    assert billing(**changes).mirrors(schema, name) is mirrored


_JSON = st.none() | st.booleans() | st.floats() | st.text() | st.lists(st.text() | st.integers())


@given(st.sampled_from([*BILLING, *DEFAULTS]), _JSON)
def test_whatever_a_setting_holds_is_taken_or_named(key: str, value: Any) -> None:
    found, wrong = pipelines.read(json.dumps({"billing": BILLING | {key: value}}))

    assert bool(found) is not bool(wrong)
    assert all(f"PIPELINES.billing.{key} " in fault for fault in wrong)
