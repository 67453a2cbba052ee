"""Which deployment the command works on: the JSON that `terraform output -json settings` prints, in a file."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.problems import WrongUse, unknown
from shared import pipelines
from shared.pipelines import Pipeline

WRITE = "terraform output -json settings > settings.json, in the folder that you applied"
_FORMS = {
    "project": re.compile(r".+"),
    "mirror_requests_topic": re.compile(r"projects/[^/]+/topics/[^/]+"),
    "view_refreshes_topic": re.compile(r"projects/[^/]+/topics/[^/]+"),
    "dead_letters_subscription": re.compile(r"projects/[^/]+/subscriptions/[^/]+"),
}
_MUST_BE = {
    "project": "a project's id",
    "mirror_requests_topic": "a full name, projects/PROJECT/topics/TOPIC",
    "view_refreshes_topic": "a full name, projects/PROJECT/topics/TOPIC",
    "dead_letters_subscription": "a full name, projects/PROJECT/subscriptions/SUBSCRIPTION",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """
    A deployment: its project, its pipelines by name, and where its messages go.

    `pubsub_endpoint`: the address of Pub/Sub's region that the mirror publishes in, None for any. Messages of one ordering key
    are in order if they are published in one region. `schedules`: by pipeline, when it is mirrored, as cron.
    """

    project: str
    mirror_requests_topic: str
    view_refreshes_topic: str
    dead_letters_subscription: str
    pipelines: Mapping[str, Pipeline]
    pubsub_endpoint: str | None = None
    schedules: Mapping[str, str] = field(default_factory=dict)

    def pipeline(self, name: str) -> Pipeline:
        """The pipeline of that name. Raises WrongUse, with the nearest name, if there is none."""
        if name not in self.pipelines:
            raise unknown("pipeline", name, self.pipelines)
        return self.pipelines[name]


def read(file: Path | None) -> Settings:
    """The settings in a file. Raises WrongUse, which names the file, the key and what to do."""
    if file is None:
        raise WrongUse(
            "There are no settings: say --settings FILE, or set MIRROR_SETTINGS to the file.", f"To write one: {WRITE}"
        )
    content = _content(file)
    faults = [_fault(key, content.get(key)) for key, form in _FORMS.items() if not _matches(form, content.get(key))]
    given = content.get("pipelines")
    known, wrong = pipelines.read(json.dumps(given)) if isinstance(given, dict) else ({}, ["pipelines is missing"])
    faults += [fault.replace("PIPELINES", "pipelines") for fault in wrong]
    endpoint = content.get("pubsub_endpoint")
    if endpoint is not None and not isinstance(endpoint, str):
        faults.append(f"pubsub_endpoint must be an address, not {json.dumps(endpoint)}")
    schedules = content.get("schedules") or {}
    if not isinstance(schedules, dict) or not all(isinstance(each, str) for each in schedules.values()):
        faults.append(f"schedules must be texts by pipeline, not {json.dumps(schedules)}")
    if faults:
        raise WrongUse(f"{file}: {'; '.join(faults)}.", f"To write it anew: {WRITE}")
    named = {key: content[key] for key in _FORMS}
    return Settings(**named, pipelines=known, pubsub_endpoint=endpoint, schedules=schedules)


def _content(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        demo = "Was it a demo's, it has ended: make demo KEEP=1. " if os.environ.get("PUBSUB_EMULATOR_HOST") else ""
        raise WrongUse(f"{file} cannot be read: {error.strerror}.", f"{demo}To write it: {WRITE}") from error
    except (ValueError, RecursionError) as error:
        raise WrongUse(f"{file} is not JSON: {error}.", f"To write it anew: {WRITE}") from error
    if isinstance(content, dict) and isinstance(content.get("settings"), dict):
        content = content["settings"]  # of `terraform output -json`, with all outputs
    if isinstance(content, dict) and isinstance(content.get("value"), dict):
        content = content["value"]
    if not isinstance(content, dict):
        raise WrongUse(f"{file} is not a JSON object.", f"To write it anew: {WRITE}")
    return content


def _matches(form: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


def _fault(key: str, value: object) -> str:
    return f"{key} is missing" if value is None else f"{key} must be {_MUST_BE[key]}, not {json.dumps(value)}"
