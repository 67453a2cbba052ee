"""Who is told of runs, as the settings say."""

from shared.gcp.bigquery_ledger import BigQueryLedger
from shared.gcp.pubsub import PubSub
from shared.runs.announcing import Listeners
from shared.settings import Settings


def listeners(settings: Settings, topics: PubSub) -> Listeners:
    """Those whose topic or dataset the settings name."""
    return Listeners(
        exported=topics if settings.run_exported_topic else None,
        shown=topics if settings.run_shown_topic else None,
        ledger=BigQueryLedger(settings.project, settings.ops_dataset) if settings.ops_dataset else None,
    )
