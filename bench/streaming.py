"""
The peer of `whole`, run in its own environment: dlt moves a database's tables to Parquet files, rows by rows.

Its fastest way with PostgreSQL is taken: Arrow tables in batches. Prints the seconds that it took; what it sends home is
turned off by whoever starts it.
"""

import sys
import time

import dlt  # type: ignore[import-not-found]
from dlt.sources.sql_database import sql_database  # type: ignore[import-not-found]


def main(address: str, folder: str) -> None:
    """Move all tables of the database at `postgresql://…` into `folder`."""
    source = sql_database(address, schema="public", backend="pyarrow", chunk_size=50_000)
    destination = dlt.destinations.filesystem(bucket_url=f"{folder}/files")
    pipeline = dlt.pipeline("bench", destination=destination, dataset_name="bench", pipelines_dir=f"{folder}/pipelines")
    began = time.perf_counter()
    pipeline.run(source, loader_file_format="parquet")
    sys.stdout.write(f"{time.perf_counter() - began}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
