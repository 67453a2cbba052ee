"""A stand-in for BigQuery: the REST methods that the functions and the demo use, on DuckDB.

Where it differs from the service: it has one project, no permissions and no quotas (but for `rate_limits`), and it
refuses, rather than ignores, every option and every statement that it does not honour.
"""

from local.bigquery.jobs import JobDone
from local.bigquery.server import BigQuery

__all__ = ["BigQuery", "JobDone"]
