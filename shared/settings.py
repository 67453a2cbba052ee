"""What the environment tells a function, read once, when it starts. Nothing else reads the environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from shared import pipelines
from shared.pipelines import Pipeline

_TOPIC = re.compile(r"projects/[^/]+/topics/[^/]+")
_TOPIC_VARIABLES = frozenset(
    {
        "MIRROR_REQUESTS_TOPIC",
        "TABLE_EXPORTS_TOPIC",
        "TABLE_EXPORTED_TOPIC",
        "RUN_EXPORTED_TOPIC",
        "RUN_SHOWN_TOPIC",
        "DEAD_LETTERS_TOPIC",
        "JOB_EVENTS_TOPIC",
        "SNAPSHOTS_TOPIC",
    }
)
_LONGEST_WAIT = 540
"""Seconds. A push subscription gives up on an answer after 600."""


class SettingsError(Exception):
    """The environment is incomplete or wrong; the message lists everything that is."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment of a function, as docs/settings.md lists it. What the function has no use for is empty."""

    project: str
    pipelines: Mapping[str, Pipeline]
    dead_letters_topic: str
    mirror_requests_topic: str = ""
    table_exports_topic: str = ""
    table_exported_topic: str = ""
    run_exported_topic: str = ""
    run_shown_topic: str = ""
    job_events_topic: str = ""
    snapshots_topic: str = ""
    ops_dataset: str = ""
    cloudsql_admin_endpoint: str | None = None
    dataflow_endpoint: str | None = None
    pubsub_endpoint: str | None = None
    wait_budget_seconds: float = 480

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *needs: str, needs_for_snapshots: str | None = None) -> "Settings":
        """
        The settings of a function that `needs` these variables beside those that every function needs.

        `needs_for_snapshots`: one more, where a pipeline has small tables read by snapshot.

        Raises SettingsError, whose message names every variable that is missing or wrong.
        """
        required = ("GOOGLE_CLOUD_PROJECT", "PIPELINES", "DEAD_LETTERS_TOPIC", *needs)
        faults = [f"{name} is not set" for name in required if not environ.get(name)]
        faults += [_not_a_topic(name, environ[name]) for name in environ if _is_wrong_topic(name, environ[name])]
        known: dict[str, Pipeline] = {}
        if environ.get("PIPELINES"):
            known, wrong = pipelines.read(environ["PIPELINES"])
            faults += wrong
        if needs_for_snapshots and not environ.get(needs_for_snapshots):
            faults += [f"{needs_for_snapshots} is not set, {why}" for why in _asking_for_snapshots(known)]
        wait = environ.get("WAIT_BUDGET_SECONDS") or "480"
        if not re.fullmatch(r"\d+(\.\d+)?", wait) or not 0 < float(wait) <= _LONGEST_WAIT:
            faults.append(
                f"WAIT_BUDGET_SECONDS must be a number of seconds above 0 and at most {_LONGEST_WAIT}, not {wait!r}"
            )
        if faults:
            raise SettingsError("the function cannot start:\n  " + "\n  ".join(faults))
        return cls(
            project=environ["GOOGLE_CLOUD_PROJECT"],
            pipelines=known,
            dead_letters_topic=environ["DEAD_LETTERS_TOPIC"],
            **{name.lower(): environ.get(name, "") for name in _TOPIC_VARIABLES - {"DEAD_LETTERS_TOPIC"}},
            ops_dataset=environ.get("OPS_DATASET", ""),
            cloudsql_admin_endpoint=environ.get("CLOUDSQL_ADMIN_ENDPOINT") or None,
            dataflow_endpoint=environ.get("DATAFLOW_ENDPOINT") or None,
            pubsub_endpoint=environ.get("PUBSUB_ENDPOINT") or None,
            wait_budget_seconds=float(wait),
        )


def _asking_for_snapshots(known: Mapping[str, Pipeline]) -> list[str]:
    asking = [name for name, pipeline in known.items() if pipeline.small_tables == "snapshot"]
    return [f"and small_tables of PIPELINES.{', '.join(asking)} is snapshot"] if asking else []


def _is_wrong_topic(name: str, value: str) -> bool:
    return name in _TOPIC_VARIABLES and value != "" and not _TOPIC.fullmatch(value)


def _not_a_topic(name: str, value: str) -> str:
    return f"{name} must be a full topic name, projects/PROJECT/topics/TOPIC, not {value!r}"
