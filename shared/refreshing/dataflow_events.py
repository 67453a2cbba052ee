"""Dataflow's events: which pipeline's own job has ended, for jobs whose writes leave no job of BigQuery behind."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared import times
from shared.errors import Permanent
from shared.pipelines import Pipeline

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
        pipeline = _pipeline(name, job.get("labels") or {}, pipelines)
        if state not in {_DONE, _FAILED} or not pipeline:
            return None
        return JobEnded(pipeline, name, times.moment(job["currentStateTime"]), failed=state == _FAILED)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Permanent(f"a malformed Dataflow event: {type(error).__name__}: {error}") from error


def _pipeline(name: str, labels: Mapping[str, str], pipelines: Mapping[str, Pipeline]) -> Pipeline | None:
    """The pipeline with a Scio loader that a label names, or the job's name does, between hyphens. Of several, the longest name."""
    loaded = [pipeline for pipeline in pipelines.values() if pipeline.loader == "scio"]
    named = [pipeline for pipeline in loaded if pipeline.name in labels.values()]
    named = named or [each for each in loaded if re.search(rf"(?:^|-){re.escape(each.name)}(?:-|$)", name)]
    return max(named, key=lambda pipeline: len(pipeline.name), default=None)
