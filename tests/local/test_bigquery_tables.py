"""Datasets, tables and views over the REST API."""

import time
from collections.abc import Iterator

import pytest
from google.api_core.exceptions import BadRequest, Conflict, Forbidden, NotFound, PreconditionFailed
from google.api_core.retry import Retry, if_exception_type
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from local.bigquery import BigQuery
from local.rest import ApiError, Fault

ONCE = Retry(predicate=if_exception_type())
NO_STORAGE = "http://127.0.0.1:9"
COLUMNS = [
    bigquery.SchemaField("id", "INT64", "REQUIRED", description="the key"),
    bigquery.SchemaField("name", "STRING"),
]


def connected(service: BigQuery) -> bigquery.Client:
    anonymous = AnonymousCredentials()
    return bigquery.Client("p", credentials=anonymous, client_options={"api_endpoint": service.url})


@pytest.fixture(name="client")
def a_client() -> Iterator[bigquery.Client]:
    with BigQuery("p", NO_STORAGE) as service:
        client = connected(service)
        dataset = bigquery.Dataset("p.d")
        dataset.location = "EU"
        client.create_dataset(dataset)
        yield client
        client.close()
        assert service.faults == []


def a_view(client: bigquery.Client, name: str, query: str) -> bigquery.Table:
    view = bigquery.Table(f"p.d.{name}")
    view.view_query = query
    return client.create_table(view)


def test_a_dataset_is_where_it_was_made(client: bigquery.Client) -> None:
    assert client.get_dataset("d").location == "EU"
    assert [each.dataset_id for each in client.list_datasets()] == ["d"]


def test_a_dataset_that_is_there_is_not_made_twice(client: bigquery.Client) -> None:
    with pytest.raises(Conflict, match="Already Exists: Dataset p:d"):
        client.create_dataset("d")


def test_a_missing_dataset_is_not_found(client: bigquery.Client) -> None:
    with pytest.raises(NotFound, match="Not found: Dataset p:nowhere"):
        client.get_dataset("nowhere")


def test_a_missing_table_is_not_found(client: bigquery.Client) -> None:
    with pytest.raises(NotFound, match=r"Not found: Table p:d\.nothing"):
        client.get_table("p.d.nothing")


def test_a_table_tells_what_it_was_made_of(client: bigquery.Client) -> None:
    table = bigquery.Table("p.d.t", COLUMNS)
    table.description, table.labels = "things", {"team": "x"}
    client.create_table(table)

    made = client.get_table("p.d.t")

    assert [(field.name, field.field_type, field.mode, field.description) for field in made.schema] == [
        ("id", "INTEGER", "REQUIRED", "the key"),
        ("name", "STRING", "NULLABLE", None),
    ]
    assert (made.description, made.labels, made.num_rows, made.num_bytes) == ("things", {"team": "x"}, 0, 0)
    assert (made.table_type, made.location, made.expires) == ("TABLE", "EU", None)


def test_a_name_is_taken_once_by_table_or_view(client: bigquery.Client) -> None:
    client.create_table(bigquery.Table("p.d.t", COLUMNS))

    with pytest.raises(Conflict, match=r"Already Exists: Table p:d\.t"):
        a_view(client, "t", "SELECT 1 AS one")


def test_names_that_differ_in_case_are_two(client: bigquery.Client) -> None:
    client.create_table(bigquery.Table("p.d.orders", COLUMNS))
    a_view(client, "Orders", "SELECT 1 AS one")

    assert [(each.table_id, each.table_type) for each in client.list_tables("d")] == [
        ("Orders", "VIEW"),
        ("orders", "TABLE"),
    ]


def test_in_a_dataset_without_case_names_that_differ_in_case_are_one(client: bigquery.Client) -> None:
    dataset = bigquery.Dataset("p.Folded")
    dataset.is_case_insensitive = True
    client.create_dataset(dataset)
    client.create_table(bigquery.Table("p.Folded.orders", COLUMNS))

    with pytest.raises(Conflict, match=r"Already Exists: Table p:folded\.Orders"):
        client.create_table(bigquery.Table("p.folded.Orders", COLUMNS))

    assert client.get_table("p.FOLDED.ORDERS").table_id == "orders"
    assert [each.table_id for each in client.list_tables("folded")] == ["orders"]


@pytest.mark.parametrize("ignores_case", [True, False])
def test_a_dataset_says_whether_it_ignores_case(client: bigquery.Client, ignores_case: bool) -> None:
    dataset = bigquery.Dataset("p.other")
    dataset.is_case_insensitive = ignores_case
    client.create_dataset(dataset)

    assert client.get_dataset("other").is_case_insensitive == ignores_case
    assert not client.get_dataset("d").is_case_insensitive


def test_a_dataset_without_case_is_not_made_twice_in_another_case(client: bigquery.Client) -> None:
    dataset = bigquery.Dataset("p.Folded")
    dataset.is_case_insensitive = True
    client.create_dataset(dataset)

    with pytest.raises(Conflict, match="Already Exists: Dataset p:folded"):
        client.create_dataset("folded")


def test_listed_tables_come_in_pages(client: bigquery.Client) -> None:
    for number in range(5):
        client.create_table(bigquery.Table(f"p.d.t{number}", COLUMNS))

    pages = [[each.table_id for each in page] for page in client.list_tables("d", page_size=2).pages]

    assert pages == [["t0", "t1"], ["t2", "t3"], ["t4"]]


def test_a_listed_table_has_neither_etag_nor_schema(client: bigquery.Client) -> None:
    table = bigquery.Table("p.d.t", COLUMNS)
    table.labels = {"team": "x"}
    client.create_table(table)

    (item,) = client.list_tables("d")

    assert item.labels == {"team": "x"}
    assert not item.to_api_repr().keys() & {"etag", "schema", "numRows"}


def test_a_deleted_table_is_gone(client: bigquery.Client) -> None:
    client.create_table(bigquery.Table("p.d.t", COLUMNS))

    client.delete_table("p.d.t")

    assert list(client.list_tables("d")) == []
    with pytest.raises(NotFound):
        client.delete_table("p.d.t")


def test_every_change_makes_another_etag_and_a_lost_race_gets_412(client: bigquery.Client) -> None:
    first = client.create_table(bigquery.Table("p.d.t", COLUMNS))
    first.description = "mine"
    second = client.get_table("p.d.t")
    second.description = "theirs"

    changed = client.update_table(second, ["description"])

    assert changed.etag != first.etag
    with pytest.raises(PreconditionFailed):
        client.update_table(first, ["description"])
    assert client.get_table("p.d.t").description == "theirs"


def test_a_patch_changes_what_it_names_and_null_deletes(client: bigquery.Client) -> None:
    table = bigquery.Table("p.d.t", COLUMNS)
    table.description, table.labels = "things", {"team": "x", "old": "y"}
    table = client.create_table(table)
    table.labels = {"old": None, "new": "z"}

    client.update_table(table, ["labels"])

    after = client.get_table("p.d.t")
    assert (after.description, after.labels) == ("things", {"team": "x", "new": "z"})


def test_a_table_expires(client: bigquery.Client) -> None:
    dataset = bigquery.Dataset("p.brief")
    dataset.default_table_expiration_ms = 3_600_000
    client.create_dataset(dataset)
    client.create_table(bigquery.Table("p.brief.t", COLUMNS))
    table = client.get_table("p.brief.t")

    assert table.expires is not None
    assert 3590 < table.expires.timestamp() - time.time() <= 3600

    client._connection.api_request(  # noqa: SLF001 - the client refuses a moment in the past
        method="PATCH", path="/projects/p/datasets/brief/tables/t", data={"expirationTime": "1"}
    )
    with pytest.raises(NotFound):
        client.get_table("p.brief.t")


def test_an_expiration_can_be_lifted(client: bigquery.Client) -> None:
    dataset = bigquery.Dataset("p.brief")
    dataset.default_table_expiration_ms = 3_600_000
    client.create_dataset(dataset)
    table = client.create_table(bigquery.Table("p.brief.t", COLUMNS))
    table.expires = None

    assert client.update_table(table, ["expires"]).expires is None


def test_columns_can_be_described_but_not_changed(client: bigquery.Client) -> None:
    table = client.create_table(bigquery.Table("p.d.t", COLUMNS))
    table.schema = [COLUMNS[0], bigquery.SchemaField("name", "STRING", description="as written")]
    described = client.update_table(table, ["schema"])
    table.schema = [*COLUMNS, bigquery.SchemaField("more", "STRING")]
    table._properties["etag"] = described.etag  # noqa: SLF001 - the client takes it from there

    assert described.schema[1].description == "as written"
    with pytest.raises(BadRequest, match="does not honour a patch of columns"):
        client.update_table(table, ["schema"])


def test_a_view_has_the_columns_of_its_query(client: bigquery.Client) -> None:
    client.create_table(bigquery.Table("p.d.t", COLUMNS))

    view = a_view(client, "v", "SELECT *, 1.5 AS half FROM `p.d.t`")

    assert [(field.name, field.field_type, field.mode) for field in view.schema] == [
        ("id", "INTEGER", "NULLABLE"),
        ("name", "STRING", "NULLABLE"),
        ("half", "FLOAT", "NULLABLE"),
    ]
    assert (view.view_query, view.view_use_legacy_sql, view.table_type) == (
        "SELECT *, 1.5 AS half FROM `p.d.t`",
        False,
        "VIEW",
    )


def test_moving_a_view_finds_its_columns_anew_and_keeps_its_description(client: bigquery.Client) -> None:
    client.create_table(bigquery.Table("p.d.t1", COLUMNS))
    client.create_table(bigquery.Table("p.d.t2", [COLUMNS[1], bigquery.SchemaField("more", "BIGNUMERIC")]))
    view = bigquery.Table("p.d.v")
    view.view_query, view.description, view.labels = "SELECT * FROM `p.d.t1`", "newest", {"team": "x"}
    view = client.create_table(view)
    view.schema = [bigquery.SchemaField(field.name, field.field_type, description="!") for field in view.schema]
    view = client.update_table(view, ["schema"])
    view.view_query = "SELECT * FROM `p.d.t2`"

    moved = client.update_table(view, ["view_query"])

    assert [(field.name, field.field_type, field.description) for field in moved.schema] == [
        ("name", "STRING", None),
        ("more", "BIGNUMERIC", None),
    ]
    assert (moved.description, moved.labels) == ("newest", {"team": "x"})


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        ("SELECT * FROM `p.d.missing`", NotFound, r"Not found: Table p:d\.missing"),
        ("SELECT * FROM `p.nowhere.t`", NotFound, "Not found: Dataset p:nowhere"),
        ("SELECT (", BadRequest, "Syntax error"),
        ("SELECT nothing FROM `p.d.t`", BadRequest, "nothing"),
        ("SELECT * FROM t", BadRequest, "must be qualified with a dataset"),
        ("SELECT 1 AS a, 2 AS A", BadRequest, "Duplicate column names"),
        ("SELECT * FROM `p.d.t_*`", BadRequest, "wildcard"),
    ],
)
def test_a_query_that_does_not_hold_changes_nothing(
    client: bigquery.Client, query: str, error: type[Exception], message: str
) -> None:
    client.create_table(bigquery.Table("p.d.t", COLUMNS))
    view = a_view(client, "v", "SELECT * FROM `p.d.t`")
    before = view.etag
    view.view_query = query

    with pytest.raises(error, match=message):
        client.update_table(view, ["view_query"])

    assert client.get_table("p.d.v").etag == before


def defined(**view: str | bool) -> bigquery.Table:
    """A view with this definition, to which the client adds nothing."""
    reference = {"projectId": "p", "datasetId": "d", "tableId": "legacy"}
    return bigquery.Table.from_api_repr({"tableReference": reference, "view": view})


@pytest.mark.parametrize("said", [{"useLegacySql": True}, {}], ids=["said", "by default"])
def test_a_view_in_legacy_sql_is_kept_and_told_as_one(client: bigquery.Client, said: dict[str, bool]) -> None:
    client.create_table(defined(query="SELECT 1 AS one", **said))

    view = client.get_table("p.d.legacy")
    [item] = client.list_tables("d")
    assert (view.view_query, view.view_use_legacy_sql, item.view_use_legacy_sql) == ("SELECT 1 AS one", True, True)


def test_a_patch_of_a_legacy_views_query_leaves_it_in_legacy_sql_unless_it_says_otherwise(
    client: bigquery.Client,
) -> None:
    client.create_table(defined(query="SELECT 1 AS one"))

    patched = client.update_table(defined(query="SELECT 2 AS two"), ["view_query"])
    rewritten = client.update_table(defined(query="SELECT 2 AS two", useLegacySql=False), ["view_query"])

    assert (patched.view_use_legacy_sql, rewritten.view_use_legacy_sql) == (True, False)
    assert [field.name for field in rewritten.schema] == ["two"]


def test_googlesql_cannot_read_a_view_in_legacy_sql(client: bigquery.Client) -> None:
    client.create_table(defined(query="SELECT 1 AS one"))

    with pytest.raises(BadRequest, match="Cannot reference a legacy SQL view in a standard SQL query"):
        a_view(client, "v", "SELECT * FROM `p.d.legacy`")


def test_a_table_does_not_become_a_view(client: bigquery.Client) -> None:
    table = client.create_table(bigquery.Table("p.d.t", COLUMNS))
    table.view_query = "SELECT 1 AS one"

    with pytest.raises(BadRequest, match="which is a TABLE"):
        client.update_table(table, ["view_query"])


def test_a_view_has_no_rows_to_list(client: bigquery.Client) -> None:
    view = a_view(client, "v", "SELECT 1 AS one")

    with pytest.raises(BadRequest, match="Cannot list a table of type VIEW"):
        list(client.list_rows(view))


def test_an_option_that_is_not_honoured_is_refused(client: bigquery.Client) -> None:
    table = bigquery.Table("p.d.t", COLUMNS)
    table.time_partitioning = bigquery.TimePartitioning()

    with pytest.raises(BadRequest, match=r"does not honour table\.timePartitioning"):
        client.create_table(table)


def test_a_sixth_update_within_ten_seconds_is_refused_where_limits_hold() -> None:
    with BigQuery("p", NO_STORAGE, rate_limits=True) as service:
        client = connected(service)
        client.create_dataset("d")
        client.create_table(bigquery.Table("p.d.t", COLUMNS))
        table = bigquery.Table("p.d.t")
        for number in range(4):
            table.description = str(number)
            client.update_table(table, ["description"])

        with pytest.raises(Forbidden, match="too many table update operations"):
            client.update_table(table, ["description"], retry=ONCE)
        client.close()


def test_a_call_fails_as_a_test_asks() -> None:
    with BigQuery("p", NO_STORAGE) as service:
        client = connected(service)
        service.plan("bigquery.datasets.get", Fault(ApiError(403, "accessDenied")))

        with pytest.raises(Forbidden, match="accessDenied"):
            client.get_dataset("d")
        with pytest.raises(NotFound):
            client.get_dataset("d")
        client.close()
        assert service.calls == [("bigquery.datasets.get", {"projectId": "p", "datasetId": "d"})] * 2
