"""Dataflow's events: which pipeline's own job has ended, for jobs whose writes leave no job of BigQuery behind."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared import times
from shared.errors import Permanent
from shared.pipelines import JOB_LABEL, Pipeline

STATUS_CHANGED = "google.cloud.dataflow.job.v1beta3.statusChanged"

_DONE = "JOB_STATE_DONE"
_FAILED = "JOB_STATE_FAILED"


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A job that writes a pipeline's shards has ended at that moment, well or badly."""

    pipeline: Pipeline
    name: str
    ended_at: datetime
    failed: bool


def read(data: Any, pipelines: Mapping[str, Pipeline]) -> JobEnded | None:
    """What a change of a job's state says. None if it is not the end of a pipeline's. Permanent if it is malformed."""
    try:
        job = data["payload"]
        state, name = job.get("currentState"), job.get("name", "")
        if state not in {_DONE, _FAILED}:
            return None
        ended_at = times.moment(job["currentStateTime"])
        pipeline = _pipeline(name, job.get("labels") or {}, pipelines)
        return JobEnded(pipeline, name, ended_at, failed=state == _FAILED) if pipeline else None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Permanent(f"a malformed Dataflow event: {type(error).__name__}: {error}") from error


def _pipeline(name: str, labels: Mapping[str, str], pipelines: Mapping[str, Pipeline]) -> Pipeline | None:
    """
    The pipeline that a job speaks for, if a Scio job loads it.

    A label says so, whatever the name is. A name may say it of several: `mirror-billing-eu-1` is a job of `billing-eu`, and
    not of `billing`.
    """
    found = [each for each in pipelines.values() if (name + "-").startswith(f"{each.job_name}-")]
    by_name = max(found, key=lambda pipeline: len(pipeline.name), default=None)
    label = labels.get(JOB_LABEL)
    named = pipelines.get(label) if label else by_name
    return named if named and named.loader == "scio" else None
