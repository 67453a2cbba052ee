"""
The peer of `whole` and `small`: dlt moves the rows of a database to Parquet files. Runs in an environment of its own.

It uses dlt's fastest way with PostgreSQL, which is Arrow tables in batches. It prints the seconds that it took. The
caller turns off dlt's telemetry.
"""

import sys
import time

import dlt  # type: ignore[import-not-found]
from dlt.sources.sql_database import sql_database  # type: ignore[import-not-found]
from sqlalchemy import create_engine  # type: ignore[import-not-found]


def main(address: str, folder: str) -> None:
    """Move all tables of the database at `postgresql://…` into `folder`."""
    # One engine for all tables: one for each would open more connections than a server has.
    source = sql_database(create_engine(address), schema="public", backend="pyarrow", chunk_size=50_000)
    destination = dlt.destinations.filesystem(bucket_url=f"{folder}/files")
    pipeline = dlt.pipeline("bench", destination=destination, dataset_name="bench", pipelines_dir=f"{folder}/pipelines")
    began = time.perf_counter()
    pipeline.run(source, loader_file_format="parquet")
    sys.stdout.write(f"{time.perf_counter() - began}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
