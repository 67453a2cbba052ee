"""Each fault of a cloud is named by the check, with what to do. The first step that is not good is the fault's."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

import pytest

from tests.support import faults
from tests.support.checked import Checked, checked
from tests.support.faults import is_to, of_table, writes

Put = Callable[[Checked], AbstractContextManager[None]]
NEVER = 5
"""Seconds until what cannot come is not waited for any more: what does come takes less than one."""
NOTHING_COMES = "has not come in"
APPLY = "terraform apply"
EXPORTER = "Grant the function's service account cloudsql.instances.export and .get on it"
INSTANCE = "Grant the Cloud SQL instance's own service account roles/storage.objectAdmin on the pipeline's bucket"
NO_RIGHT = "The client is not authorized to make this request."
NO_ACCESS = "loader@my-project.iam.gserviceaccount.com does not have storage.objects.create access to the bucket."
DENIED = "Access Denied: Dataset demo-project:shop: Permission bigquery.tables.create denied on dataset"


class Fault(NamedTuple):
    """The step that names it, of what is said there the cause and the remedy, and how it is put in."""

    step: str
    found: str
    remedy: str
    put: Put
    pipeline: str = "shop"
    gives_up: frozenset[str] = frozenset()


def sql(matches: faults.Matches, status: int, reason: str, message: str) -> Put:
    return lambda at: faults.refused(at.cloud.admin.server, matches, status, reason, message)


def storage(matches: faults.Matches, status: int, reason: str, message: str) -> Put:
    return lambda at: faults.refused(at.cloud.storage.server, matches, status, reason, message)


def bigquery(matches: faults.Matches, status: int, reason: str, message: str) -> Put:
    return lambda at: faults.refused(at.cloud.bigquery.server, matches, status, reason, message)


def without(subscription: str) -> Put:
    return lambda at: faults.unseen_subscription(at.cloud, subscription)


def nothing(_: Checked) -> AbstractContextManager[None]:
    """The fault is the pipeline's own."""
    return faults.nothing()


def bucket_that_keeps(at: Checked) -> AbstractContextManager[None]:
    keeps = {"retentionPolicy": {"retentionPeriod": "86400", "effectiveTime": "2026-01-15T00:00:00Z"}}
    return faults.told_otherwise(at.cloud.storage.server, is_to("GET", "/b/my-mirror"), **keeps)


def views_elsewhere(at: Checked) -> AbstractContextManager[None]:
    return faults.told_otherwise(at.cloud.bigquery.server, is_to("GET", "/datasets/shop"), location="US")


def bucket_elsewhere(at: Checked) -> AbstractContextManager[None]:
    return faults.told_otherwise(at.cloud.storage.server, is_to("GET", "/b/my-mirror"), location="US")


EXPORTED = "exported mirror_check_"
LOADED, EVENT, VIEW = (f"{stage} mirror_check_" for stage in ("loaded", "event", "view"))  # of whichever comes first
FAULTS = {
    "no topic": Fault("topics", "no topic run-shown", APPLY, lambda at: faults.no_topic(at.cloud, "run-shown")),
    "no subscription": Fault(
        "subscriptions",
        "no subscription dead-letters",
        APPLY,
        lambda at: faults.no_subscription(at.cloud, "dead-letters"),
    ),
    "a retention policy on the bucket": Fault(
        "bucket", "keeps each object from being moved", "Take the retention policy off", bucket_that_keeps
    ),
    "a dataset that is missing": Fault(
        "datasets",
        "there is no dataset demo-project.shop",
        "Create it",
        bigquery(of_table("shop"), 404, "notFound", "Not found: Dataset demo-project:shop"),
    ),
    "a dataset elsewhere": Fault("datasets", "in EU, and shop in US", "make one of the datasets anew", views_elsewhere),
    "a bucket elsewhere": Fault("datasets", "in EU, and the bucket in US", "by bucket_location", bucket_elsewhere),
    "a database out of reach": Fault(
        "catalog", "hears requests, and has not read the catalog", "by its host", nothing, "out-of-reach"
    ),
    "a role that may not connect": Fault(
        "catalog", "permission denied for database", "Grant CONNECT on the database to mirror", nothing, "shut-out"
    ),
    "tables that the export may not read": Fault(
        "select", "public.orders: its export will be denied", "Grant SELECT on it", faults.unreadable_tables, "other"
    ),
    "a lane that another run has": Fault(
        "lane", "the run 9912 of other has the lane, and 2 tables wait", "mirror stop other 9912", faults.another_run
    ),
    "no right to export": Fault(
        EXPORTED,
        "not authorized",
        EXPORTER,
        sql(is_to("POST", "/export"), 403, "notAuthorized", NO_RIGHT),
    ),
    "an API that is not enabled": Fault(
        EXPORTED,
        "accessNotConfigured",
        "enable the Cloud SQL Admin API",
        sql(
            is_to("POST", "/export"),
            403,
            "accessNotConfigured",
            "Cloud SQL Admin API has not been used in project 1 before.",
        ),
    ),
    "no right to list operations": Fault(
        EXPORTED, "not authorized", EXPORTER, sql(is_to("GET", "/operations"), 403, "notAuthorized", NO_RIGHT)
    ),
    "01 that is no quote": Fault(
        "exported mirror_check_ndjson",
        "Cloud SQL does not take 01 as quote",
        "send it as a bug report",
        sql(is_to("POST", "/export", holding=b'"01"'), 400, "invalid", "Invalid request: quoteCharacter is not valid."),
    ),
    "an instance that may not write": Fault(
        EXPORTED,
        "its export failed",
        INSTANCE,
        lambda at: faults.failing_exports(at.cloud, f"ERROR_RDBMS: {NO_ACCESS}"),
    ),
    "functions that may not write": Fault(
        "catalog",
        "access",
        "Grant the function's service account roles/storage.objectUser",
        storage(writes, 403, "forbidden", NO_ACCESS),
        gives_up=frozenset({"list_tables"}),
    ),
    "a move that is not permitted": Fault(
        EXPORTED,
        "retention",
        "Take the retention off the bucket",
        storage(
            lambda call: "/moveTo/" in call.target,
            403,
            "retentionPolicyNotMet",
            "Object is subject to bucket's retention policy",
        ),
    ),
    "a load that is refused": Fault(
        LOADED,
        "BigQuery refuses the load",
        "Grant load_shard roles/bigquery.dataEditor on the shards dataset",
        bigquery(is_to("POST", "/jobs", holding=b'"load"'), 403, "accessDenied", DENIED),
    ),
    "no right on the views dataset": Fault(
        VIEW,
        "BigQuery refuses the view",
        "Grant refresh_views roles/bigquery.dataEditor on the views dataset",
        bigquery(is_to("POST", "/datasets/shop/tables"), 403, "accessDenied", DENIED),
    ),
    "no event": Fault(
        EVENT,
        "has not heard of the load",
        "a new trigger takes up to ten minutes",
        lambda at: faults.no_events(at.cloud),
    ),
    # Those of which nothing comes. An operator may not look at subscriptions, unless somebody has granted that.
    "nobody hears requests": Fault(
        "listed", "list_tables does not answer", "mirror-requests-list-tables", without("mirror-requests-list-tables")
    ),
    "nobody hears exports": Fault(
        EXPORTED, "and nothing is staged", "table-exports-export-table", without("table-exports-export-table")
    ),
    "nobody hears snapshots": Fault(
        "exported mirror_check_snapshot", NOTHING_COMES, "snapshots-read-snapshot", without("snapshots-read-snapshot")
    ),
    "nobody hears pairs": Fault(
        LOADED, NOTHING_COMES, "table-exported-load-shard", without("table-exported-load-shard")
    ),
    "nobody hears wishes for views": Fault(
        "pinned",
        f"is not in {NEVER} s",
        "view-refreshes-refresh-views",
        without("view-refreshes-refresh-views"),
    ),
}


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checked]:
    pipelines = {
        "shop": {"small_tables": "snapshot"},
        "other": {},
        "out-of-reach": {"host": "127.0.0.1:1", "shards_dataset": "far_shards", "views_dataset": "far"},
        "shut-out": {"user": "mirror", "shards_dataset": "shut_shards", "views_dataset": "shut"},
    }
    with checked(tmp_path_factory.mktemp("cloud"), **pipelines) as made:
        made.sql("REVOKE CONNECT ON DATABASE shop FROM PUBLIC")
        yield made


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_the_first_step_that_is_not_good(at: Checked, name: str) -> None:
    fault = FAULTS[name]
    with fault.put(at):
        ran, steps = at.check(fault.pipeline, NEVER)

    bad = [each for each in steps if each["ok"] is False]
    assert ran.code == 1
    assert bad[0]["step"].startswith(fault.step)
    assert fault.found in bad[0]["found"]
    assert {each["function"] for each in at.cloud.dead_letters()} <= fault.gives_up
    assert fault.remedy.casefold() in bad[0]["remedy"].casefold()
