"""What can be looked at before a run: what Terraform has made, the catalog, the grants, and the lane."""

import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from cli.checking.check import Check
from cli.checking.locations import can_load
from cli.checking.steps import Found, parted
from cli.following import WAITING, Run
from cli.problems import Problem
from shared import bucket as paths
from shared.errors import Permanent
from shared.pipelines import Pipeline

_REQUESTS = "mirror-requests"
_OUTPUTS = ("dead-letters", "table-exported", "run-exported", "run-shown")
_APPLY = "terraform apply makes it. If it has, the settings are of another deployment: write them anew"
_DENIED = "will be denied"
"""Of the warning of a plan about a table that may not be exported."""
_LATE = Found(False, "it does not answer")
_MOST = 5
"""Tables that are named."""


def take(check: Check) -> None:
    """Take the steps on what Terraform has made. Raises Problem if you may not see the bucket: all else is seen there."""
    steps = check.steps
    steps.look("topics", partial(_topics, check))
    steps.look("subscriptions", partial(_subscriptions, check))
    bucket = steps.look("bucket", partial(_bucket, check))
    steps.look("datasets", partial(_datasets, check))
    if bucket.ok is None:
        you = "You need roles/storage.objectViewer on the bucket: `operators` in Terraform gives it."
        raise Problem("No canary is sent: you could not see what becomes of it.", you)


def take_lane(check: Check) -> bool:
    """Look whether another run has the lane. Whether canaries may be sent."""
    return check.steps.look("lane", partial(_lane, check)).ok is not False


def heard(pipeline: Pipeline) -> dict[str, str]:
    """The function that hears each topic on a pipeline's way."""
    ways = {_REQUESTS: "list_tables", "table-exports": "export_table", "view-refreshes": "refresh_views"}
    ways |= {"snapshots": "read_snapshot"} if pipeline.small_tables == "snapshot" else {}
    ways |= {"table-exported": "load_shard"} if pipeline.loader == "bigquery" else {}
    return ways | ({"run-exported": "start_loader"} if pipeline.dataflow else {})


def _topics(check: Check) -> Found:
    settings = check.session.settings
    names = {settings.mirror_requests_topic, settings.view_refreshes_topic}
    names |= {_beside(check, "topics", each) for each in (*heard(check.pipeline), *_OUTPUTS)} - {""}
    missing = [_short(each) for each in sorted(names) if not check.session.pubsub.has_topic(each)]
    if missing:
        return Found(False, f"there is no topic {', '.join(missing)}", _APPLY)
    return Found(True, f"all {len(names)} are there")


def _subscriptions(check: Check) -> Found:
    dead = check.session.settings.dead_letters_subscription
    wanted = {dead: _beside(check, "topics", "dead-letters")}
    for topic, function in heard(check.pipeline).items():
        name = _beside(check, "subscriptions", f"{topic}-{function.replace('_', '-')}")
        wanted |= {name: _beside(check, "topics", topic)} if name else {}
    found = {name: check.session.pubsub.topic_of(name) for name in wanted}
    missing = [_short(name) for name, topic in found.items() if topic is None]
    if missing:
        return Found(False, f"there is no subscription {', '.join(missing)}: its messages go nowhere", _APPLY)
    deaf = [_short(name) for name, topic in wanted.items() if topic and found[name] != topic]
    if deaf:
        return Found(False, f"{', '.join(deaf)} hears another topic, or one that was deleted", _APPLY)
    return Found(True, f"all {len(wanted)} are there")


def _beside(check: Check, kind: str, name: str) -> str:
    """The full name of what Terraform calls like the topic of requests. Empty if that has another name."""
    prefix, found, _ = check.session.settings.mirror_requests_topic.rpartition(_REQUESTS)
    return prefix.replace("/topics/", f"/{kind}/") + name if found else ""


def _short(name: str) -> str:
    return name.rpartition("/")[2]


def _bucket(check: Check) -> Found:
    name = check.pipeline.bucket
    check.bucket.folders(paths.run_folders(check.pipeline.name))
    try:
        settings = check.bucket.settings()
    except Permanent:
        return Found(True, f"{name} can be read. Its own settings are not looked at")
    if settings.retention:
        keeps = f"{name} keeps each object from being moved or deleted for {settings.retention:,} s"
        return Found(False, keeps, "Take the retention policy off the bucket, or give the pipeline another bucket")
    return Found(True, f"{name} is in {settings.location}")


def _datasets(check: Check) -> Found:
    pipeline, warehouse = check.pipeline, check.session.warehouse
    shards, views = warehouse.location(pipeline.shards_dataset), warehouse.location(pipeline.views_dataset)
    both = f"{pipeline.shards_dataset} is in {shards}"
    if shards != views:
        remedy = "A view is in one location with its shards: make one of the datasets anew, as Terraform does"
        return Found(False, f"{both}, and {pipeline.views_dataset} in {views}", remedy)
    try:
        bucket = check.bucket.settings().location
    except Permanent:
        return Found(True, f"both are in {shards}")
    if not can_load(shards, bucket):
        remedy = "BigQuery loads from a bucket in its own location: have both in one, by bucket_location in Terraform"
        return Found(False, f"{both}, and the bucket in {bucket}", remedy)
    return Found(True, f"both are in {shards}")


def take_catalog(check: Check) -> bool:
    """Ask list_tables what a run would do. Gives whether it has answered. If not, a later step says what may be behind it."""
    check.plans.append(check.ask(plan=True))
    name, began = paths.plan_file(check.pipeline.name, check.plans[-1]), time.monotonic()
    plans: list[dict[str, Any]] = []

    def look() -> Found | None:
        read = check.bucket.read(name)
        plans.extend([json.loads(read[0])] if read else [])
        return _of_plan(plans[0]) if plans else None

    found = check.asked(look, check.plans[-1], _LATE)
    if found is _LATE:
        return False
    check.steps.add("catalog", time.monotonic() - began, found)
    for plan in plans:
        if "tables" in plan:
            check.steps.look("select", partial(_of_tables, plan["tables"]))
    return True


def tell_late(check: Check) -> None:
    """Tell that list_tables hears requests, and has not answered what it needs the database for."""
    pipeline = check.pipeline
    way = f"host {pipeline.host}" if pipeline.host else f"ip_type {pipeline.ip_type}"
    found = f"list_tables hears requests, and has not read the catalog of {pipeline.database} in {check.timeout:g} s"
    remedy = f"See that {pipeline.instance} is up, and that list_tables reaches it by its {way}: {check.log_of('list_tables')}"
    check.steps.add("catalog", check.timeout, Found(False, found, remedy))


def tell_silent(check: Check) -> None:
    """Tell that list_tables has not answered, where it is not known whether it hears requests at all."""
    found = f"list_tables has not answered in {check.timeout:g} s"
    check.steps.add("catalog", check.timeout, Found(False, found, check.behind(_REQUESTS, "list_tables")))


def _of_plan(plan: dict[str, Any]) -> Found:
    if "error" in plan:
        return Found(False, plan["error"], plan["remedy"])
    refused = f", and {len(plan['refused'])} that cannot be mirrored: see mirror plan" if plan["refused"] else ""
    return Found(True, f"list_tables sees {len(plan['tables'])} tables{refused}")


def _of_tables(tables: list[dict[str, Any]]) -> Found:
    """Whether those that are exported may be read by the role that Cloud SQL exports as."""
    denied = [
        (f"{each['schema']}.{each['table']}", why) for each in tables for why in each["warnings"] if _DENIED in why
    ]
    if not denied:
        return Found(True, "no table is denied to the role that Cloud SQL exports as")
    names = ", ".join(name for name, _ in denied[:_MOST])
    more = f" and {len(denied) - _MOST} more" if len(denied) > _MOST else ""
    said, remedy = parted(denied[0][1])
    return Found(False, f"{names}{more}: {said}", remedy or "See mirror plan")


def _lane(check: Check) -> Found:
    """Whether no other run waits for operations of the instance. One that is stopped begins no more."""
    runs = list(_open_runs(check))
    if not runs:
        return Found(True, "no other run waits for the instance")
    said = "; ".join(
        f"the run {run_id} of {name} has the lane, and {count} tables wait" for name, run_id, count in runs
    )
    name, run_id, _ = runs[0]
    return Found(False, said, f"Check again when it is over. To end it now: mirror stop {name} {run_id}")


def _open_runs(check: Check) -> Iterator[tuple[str, str, int]]:
    for pipeline in check.session.settings.pipelines.values():
        if pipeline.instance != check.pipeline.instance:
            continue
        bucket = check.session.bucket(pipeline)
        for mark in bucket.names(paths.open_runs(pipeline.name)):
            run_id = mark.removeprefix(paths.open_runs(pipeline.name))
            waiting = [each for each in Run(bucket, pipeline, run_id).look() or () if each.state == WAITING]
            if waiting and not bucket.read(paths.stopped_file(pipeline.name, run_id)):
                yield pipeline.name, run_id, len(waiting)
