"""A stand-in for BigQuery: the REST methods that the functions and the demo use, on DuckDB.

Differences from the service: there is one project, there are no permissions, and the only quota is `rate_limits`. An
option or a statement that the stand-in does not honour is refused, never ignored.
"""

from local.bigquery.jobs import JobDone
from local.bigquery.server import BigQuery

__all__ = ["BigQuery", "JobDone"]
