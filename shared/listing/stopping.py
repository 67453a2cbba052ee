"""Stop a run: it begins no more tables. What has begun is let end."""

from shared import bucket as paths
from shared import times
from shared.bucket import Storage
from shared.errors import Permanent
from shared.messages.outcome import Outcome
from shared.messages.requests import StopRequest
from shared.runs import manifest, records


def stop(request: StopRequest, storage: Storage) -> Outcome:
    """Write down that a run is stopped, for those who begin its tables. Raises Permanent if it is not on record."""
    pipeline, bucket = request.pipeline, storage.bucket(request.pipeline.bucket)
    if not manifest.find(bucket, pipeline, request.run_id):
        raise Permanent(f"the pipeline {pipeline.name} has no run {request.run_id} on record to stop")
    stopped = {"stopped_at": times.rfc3339(request.requested_at)}
    records.write_once(bucket, paths.stopped_file(pipeline.name, request.run_id), stopped)
    return Outcome("listed", f"the run {request.run_id} begins no more tables", request.subject)
