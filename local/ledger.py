"""The ledger and the view `freshness` of it, as Terraform makes them."""

from pathlib import Path

from google.cloud import bigquery

from shared.gcp.bigquery_ledger import schema
from shared.runs import ledger

_FRESHNESS = Path(__file__).parent.parent / "terraform" / "freshness.sql.tftpl"


def make(client: bigquery.Client, dataset: str) -> None:
    """Make a dataset with both. They are empty."""
    client.create_dataset(dataset)
    client.create_table(bigquery.Table(f"{client.project}.{dataset}.{ledger.TABLE}", schema()))
    make_freshness(client, dataset)


def make_freshness(client: bigquery.Client, dataset: str) -> None:
    """Make the view of a ledger that is there."""
    view, of = bigquery.Table(f"{client.project}.{dataset}.freshness"), f"{client.project}.{dataset}.{ledger.TABLE}"
    view.view_query = _FRESHNESS.read_text(encoding="utf-8").replace("${ledger}", of)
    client.create_table(view)
