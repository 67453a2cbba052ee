"""What an export of `orders` leaves behind, and how a test holds one up."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.stage import Stage

SCHEMA = "billing/orders/schema_20260115.json"
DATA = "billing/orders/data_20260115.csv"
STAGED = "billing/_staging/9912/orders_20260115.csv"
EXPORTED = "billing/_runs/9912/exported/orders.json"
FAILED = "billing/_runs/9912/failed/orders.json"
ROWS = ("CREATE TABLE orders (id bigint NOT NULL, note text)", "INSERT INTO orders VALUES (1, 'a,b'), (2, NULL)")


def assert_exported(stage: Stage) -> None:
    """Hold the bucket and the topics to what an export leaves that nothing has disturbed."""
    announced = {message.data for message in stage.published("table-exported")}
    sealed = stage.json(SCHEMA)
    assert stage.files() == [EXPORTED, DATA, SCHEMA]
    assert stage.content(DATA) == '1,"a,b"\n2,\n'
    assert (sealed["run_id"], sealed["data_generation"]) == ("9912", stage.bucket.get_blob(DATA).generation)
    assert stage.json(EXPORTED)["bytes"] == len(stage.content(DATA))
    assert len(announced) == 1
    assert stage.published("dead-letters") == []


def all_done(stage: Stage) -> bool:
    return all(each["status"] == "DONE" for each in stage.exports())


@contextmanager
def table_locked(stage: Stage) -> Iterator[None]:
    """Have somebody hold the table, so that its export does not end."""
    stage.run("BEGIN", "LOCK TABLE orders")
    try:
        yield
    finally:
        stage.run("COMMIT")
