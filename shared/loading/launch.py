"""Start the team's own Dataflow job for a complete run: one job for each run, however often it is asked for."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from shared.bucket import Storage, uri
from shared.errors import Permanent
from shared.messages.exports import RunExported
from shared.messages.message import Message
from shared.messages.outcome import Outcome
from shared.pipelines import JOB_LABEL
from shared.runs import belief
from shared.times import stamp

_LOST = frozenset({"JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_STOPPED"})
_PLAIN_ID = re.compile(r"[a-z0-9]{1,40}")


@dataclass(frozen=True, slots=True)
class DataflowJob:
    """A Dataflow job as it stands."""

    job_id: str
    state: str
    created_at: datetime

    @property
    def is_lost(self) -> bool:
        """Whether it has ended without having written its shards."""
        return self.state in _LOST


class Dataflow(Protocol):
    """Dataflow. Its methods raise Busy if a later call may succeed, Permanent if none will."""

    def jobs(self, region: str, name: str) -> list[DataflowJob]:
        """All jobs of that name, in whatever state, newest first."""

    def launch(self, region: str, parameter: Mapping[str, object]) -> DataflowJob:
        """Launch a Flex Template. If a job of its name is active, give that one."""


@dataclass(frozen=True, slots=True)
class LaunchServices:
    """What launching works with. `project` is that of the datasets."""

    dataflow: Dataflow
    storage: Storage
    project: str


def start_loader(run: RunExported, message: Message, services: LaunchServices) -> Outcome:
    """
    See the job of a run launched.

    A job of the run's name is taken for its own, in whatever state. One that is lost is Permanent, and launched again only by
    a person, who replays the dead letter. Raises Permanent, with nothing done, unless this is how the run was announced.
    """
    settings = run.pipeline.dataflow
    if settings is None:
        return Outcome("ignored", f"the pipeline {run.pipeline.name} has no dataflow setting", run.subject)
    belief.check_run(run, services.storage.bucket(run.pipeline.bucket))
    if not run.tables:
        return Outcome("skipped", "nothing to load: no table of the run was exported", run.subject, "WARNING")
    name = job_name(run)
    found = services.dataflow.jobs(settings["region"], name)
    alive = next((job for job in found if not job.is_lost), None)
    if alive:
        return Outcome(
            "ignored", f"the job {name} is there already: {alive.state}", run.subject, operation=alive.job_id
        )
    if found and not (message.is_replay and found[0].created_at < message.published_at):
        raise Permanent(
            f"the job {name} ended as {found[0].state}: find out why, then replay the message to launch it again",
            found[0].job_id,
        )
    job = services.dataflow.launch(settings["region"], launch_parameter(run, services.project))
    return Outcome("waiting", f"the job {name} is launched: its shards are to come", run.subject, operation=job.job_id)


def job_name(run: RunExported) -> str:
    """The job's name: pipeline, date and run, in the lower case that Dataflow asks for."""
    run_id = run.run_id if _PLAIN_ID.fullmatch(run.run_id) else hashlib.sha256(run.run_id.encode()).hexdigest()[:16]
    return f"{run.pipeline.job_name}-{stamp(run.shard_date)}-{run_id}"


def launch_parameter(run: RunExported, project: str) -> dict[str, Any]:
    """What the template is launched with: the pipeline's own parameters, and those of this run."""
    pipeline, settings = run.pipeline, run.pipeline.dataflow or {}
    environment = {
        "serviceAccountEmail": settings.get("service_account"),
        "network": settings.get("network"),
        "additionalUserLabels": {JOB_LABEL: pipeline.name},
    }
    return {
        "jobName": job_name(run),
        "containerSpecGcsPath": settings["template"],
        "parameters": {
            **settings.get("parameters", {}),
            "manifest": run.manifest_uri,
            "files": uri(pipeline.bucket, f"{pipeline.name}/"),
            "shardDate": run.shard_date.isoformat(),
            "dataset": f"{project}:{pipeline.shards_dataset}",
        },
        "environment": {key: value for key, value in environment.items() if value},
    }
