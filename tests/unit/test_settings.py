"""What the environment tells a function."""

import json

import pytest

from shared.settings import Settings, SettingsError

PIPELINE = {
    "instance": "my-project:europe-west1:billing-db",
    "database": "billing",
    "user": "mirror@my-project.iam",
    "bucket": "my-project-mirror",
    "shards_dataset": "mirror_shards",
    "views_dataset": "mirror",
}
ENVIRON = {
    "GOOGLE_CLOUD_PROJECT": "my-project",
    "PIPELINES": json.dumps({"billing": PIPELINE}),
    "DEAD_LETTERS_TOPIC": "projects/my-project/topics/dead-letters",
}
EXPORTS = "projects/my-project/topics/table-exports"
EXPORTED = "projects/my-project/topics/table-exported"
JOB_EVENTS = "projects/my-project/topics/job-events"


def faults(environ: dict[str, str], *needs: str) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(environ, *needs)
    return str(caught.value)


def test_three_variables_are_enough() -> None:
    settings = Settings.from_env(ENVIRON)

    assert (settings.project, list(settings.pipelines), settings.dead_letters_topic) == (
        "my-project",
        ["billing"],
        "projects/my-project/topics/dead-letters",
    )


def test_what_is_optional_has_the_defaults_of_the_contract() -> None:
    settings = Settings.from_env(ENVIRON)

    assert (settings.cloudsql_admin_endpoint, settings.pubsub_endpoint, settings.wait_budget_seconds) == (
        None,
        None,
        480,
    )


def test_what_is_optional_is_read() -> None:
    settings = Settings.from_env(
        ENVIRON
        | {
            "TABLE_EXPORTS_TOPIC": EXPORTS,
            "TABLE_EXPORTED_TOPIC": EXPORTED,
            "JOB_EVENTS_TOPIC": JOB_EVENTS,
            "CLOUDSQL_ADMIN_ENDPOINT": "http://127.0.0.1:1",
            "PUBSUB_ENDPOINT": "europe-west1-pubsub.googleapis.com:443",
            "WAIT_BUDGET_SECONDS": "2.5",
        }
    )

    assert settings.table_exports_topic == EXPORTS
    assert settings.table_exported_topic == EXPORTED
    assert settings.job_events_topic == JOB_EVENTS
    assert settings.cloudsql_admin_endpoint == "http://127.0.0.1:1"
    assert settings.pubsub_endpoint == "europe-west1-pubsub.googleapis.com:443"
    assert settings.wait_budget_seconds == 2.5


def test_all_that_is_missing_is_named_at_once() -> None:
    said = faults({"PIPELINES": ""}, "TABLE_EXPORTS_TOPIC")

    assert all(
        f"{name} is not set" in said
        for name in ("GOOGLE_CLOUD_PROJECT", "PIPELINES", "DEAD_LETTERS_TOPIC", "TABLE_EXPORTS_TOPIC")
    )


def test_all_that_is_wrong_is_named_with_what_is_missing() -> None:
    wrong = {
        "PIPELINES": json.dumps({"billing": PIPELINE | {"format": "avro"}}),
        "DEAD_LETTERS_TOPIC": "dead-letters",
        "TABLE_EXPORTS_TOPIC": "table-exports",
        "TABLE_EXPORTED_TOPIC": "table-exported",
        "JOB_EVENTS_TOPIC": "job-events",
        "WAIT_BUDGET_SECONDS": "soon",
    }

    said = faults(wrong)

    expected = (
        "GOOGLE_CLOUD_PROJECT is not set",
        'PIPELINES.billing.format must be one of "auto", "csv", "ndjson", not "avro"',
        "DEAD_LETTERS_TOPIC must be a full topic name, projects/PROJECT/topics/TOPIC, not 'dead-letters'",
        "TABLE_EXPORTS_TOPIC must be a full topic name",
        "TABLE_EXPORTED_TOPIC must be a full topic name",
        "JOB_EVENTS_TOPIC must be a full topic name",
        "WAIT_BUDGET_SECONDS must be",
    )
    assert [each for each in expected if each not in said] == []


def test_an_optional_variable_may_be_empty() -> None:
    settings = Settings.from_env(ENVIRON | {"TABLE_EXPORTED_TOPIC": "", "WAIT_BUDGET_SECONDS": ""})

    assert settings.wait_budget_seconds == 480


@pytest.mark.parametrize("wait", ["0", "-1", "541", "inf", "nan", "1e2", "8 minutes"])
def test_a_wait_that_no_delivery_outlasts_is_refused(wait: str) -> None:
    assert repr(wait) in faults(ENVIRON | {"WAIT_BUDGET_SECONDS": wait})


@pytest.mark.parametrize("topic", ["table-exports", "projects/p/topics/", "projects/p/subscriptions/s", EXPORTS + "/x"])
def test_what_is_no_full_topic_name_is_refused(topic: str) -> None:
    assert repr(topic) in faults(ENVIRON | {"TABLE_EXPORTS_TOPIC": topic}, "TABLE_EXPORTS_TOPIC")


def test_a_topic_for_snapshots_is_missed_with_all_else_where_a_pipeline_asks_for_them() -> None:
    asking = ENVIRON | {"PIPELINES": json.dumps({"billing": PIPELINE | {"small_tables": "snapshot"}})}

    with pytest.raises(SettingsError) as caught:
        Settings.from_env(asking, "TABLE_EXPORTS_TOPIC", needs_for_snapshots="SNAPSHOTS_TOPIC")

    assert "TABLE_EXPORTS_TOPIC is not set" in str(caught.value)
    assert "SNAPSHOTS_TOPIC is not set, and small_tables of PIPELINES.billing is snapshot" in str(caught.value)


def test_without_such_a_pipeline_it_is_not_missed() -> None:
    settings = Settings.from_env(ENVIRON, needs_for_snapshots="SNAPSHOTS_TOPIC")

    assert settings.snapshots_topic == ""


def test_the_topic_for_snapshots_is_read() -> None:
    settings = Settings.from_env(
        ENVIRON | {"SNAPSHOTS_TOPIC": "projects/p/topics/snapshots"}, needs_for_snapshots="SNAPSHOTS_TOPIC"
    )

    assert settings.snapshots_topic == "projects/p/topics/snapshots"
