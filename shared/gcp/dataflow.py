"""Dataflow: the jobs that load complete runs."""

from collections.abc import Mapping

from shared import failures, times
from shared.gcp import rest
from shared.gcp.rest import Answer, Refused
from shared.loading.launch import DataflowJob

_JOB = "id,currentState,createTime"
_ALREADY_THERE = 409


class Dataflow:
    """The project's jobs, at another address of the API if one is given."""

    def __init__(self, project: str, endpoint: str | None = None) -> None:
        self._project = project
        self._api = rest.Api("dataflow", "v1b3", endpoint)

    def jobs(self, region: str, name: str) -> list[DataflowJob]:
        """All jobs of that name, in whatever state, newest first."""
        method = self._api.resource("projects.locations.jobs")
        fields = f"jobs({_JOB},name),nextPageToken"
        request = method.list(projectId=self._project, location=region, name=name, filter="ALL", fields=fields)
        found: list[DataflowJob] = []
        while request is not None:
            try:
                page = rest.answer(request, f"the Dataflow jobs of {self._project} in {region}")
            except Refused as refused:
                raise failures.of_dataflow(refused.error) from refused
            found += [_job(job) for job in page.get("jobs", []) if job.get("name") == name]
            request = method.list_next(request, page)
        return sorted(found, key=lambda job: job.created_at, reverse=True)

    def launch(self, region: str, parameter: Mapping[str, object]) -> DataflowJob:
        """Launch a Flex Template. If a job of its name is active, give that one."""
        request = self._api.resource("projects.locations.flexTemplates").launch(
            projectId=self._project, location=region, body={"launchParameter": dict(parameter)}, fields=f"job({_JOB})"
        )
        name = str(parameter["jobName"])
        try:
            return _job(rest.answer(request, f"the launch of {name}")["job"])
        except Refused as refused:
            if refused.error.status == _ALREADY_THERE and (found := self.jobs(region, name)):
                return found[0]
            raise failures.of_dataflow(refused.error) from refused


def _job(fields: Answer) -> DataflowJob:
    return DataflowJob(
        fields["id"], fields.get("currentState", "JOB_STATE_UNKNOWN"), times.moment(fields["createTime"])
    )
