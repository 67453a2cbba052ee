"""
What Terraform would make agrees with the code that it deploys, and lets nobody do more than there is a reason for.

Each example is planned by Terraform itself, without an account, where a check that can do so is on the machine.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from local.functions import lay_out
from shared.pipelines import Pipeline
from shared.settings import Settings
from tests.support.delivery import INPUTS, table_export
from tests.support.repository import ROOT
from tests.support.stage import Log, Stage

EXAMPLES = sorted(path.name for path in (ROOT / "terraform" / "examples").iterdir())
CHECK = Path(os.environ.get("TERRAFORM_CHECK", ROOT.parent / "shared" / "terraform-check" / "run"))
"""Plans a folder offline: CHECK FOLDER --root R --steps init,plan --plan-json FILE."""
SCHEMAS = sorted(CHECK.parent.glob("alt/*-full"))
"""Those of every type of resource, where the check has them apart."""

pytestmark = [
    pytest.mark.skipif(
        not CHECK.exists() or not shutil.which("terraform"),
        reason="Terraform, or a check that plans without an account (TERRAFORM_CHECK), is not on this machine",
    ),
]

ROLES = tomllib.loads((ROOT / "terraform" / "tests" / "roles.toml").read_text(encoding="utf-8"))
"""The short list, with its reasons."""

Resource = dict[str, Any]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As much of it as is deployed. The examples call the module that is here, and not the one at their address."""
    root = tmp_path_factory.mktemp("repository")
    for name in ("functions", "shared", "terraform"):
        shutil.copytree(ROOT / name, root / name)
    shutil.copyfile(ROOT / "requirements.txt", root / "requirements.txt")
    for example in EXAMPLES:
        here = root / "terraform" / "examples" / example / "here_override.tf"
        here.write_text('module "mirror" {\n  source = "../.."\n}\n', encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def plans(repository: Path) -> dict[str, Any]:
    """By example, the plan as `terraform show -json` has it."""
    with ThreadPoolExecutor() as planning:
        return dict(zip(EXAMPLES, planning.map(lambda example: plan(repository, example), EXAMPLES), strict=True))


def plan(root: Path, example: str) -> Any:
    file = root / f"{example}.json"
    done = check(root, f"terraform/examples/{example}", "--plan-json", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(file.read_text())


def check(root: Path, folder: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Plan a folder below `root`."""
    schemas = [option for folder_of in SCHEMAS[-1:] for option in ("--schemas", str(folder_of))]
    command = [str(CHECK), str(root / folder), "--root", str(root), "--steps", "init,plan", *schemas, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def resources(plan: Any, *types: str) -> list[Resource]:
    """What a plan would make, of these types, or all."""
    return [each for each in _within(plan["planned_values"]["root_module"]) if not types or each["type"] in types]


def _within(module: Any) -> Iterator[Resource]:
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from _within(child)


def declared(plan: Any, *types: str) -> dict[str, Any]:
    """The module's resources as they are written, of these types, or all, by their address in the module."""
    module = plan["configuration"]["root_module"]["module_calls"]["mirror"]["module"]
    return {
        each["address"]: each
        for each in module["resources"]
        if each["mode"] == "managed" and (not types or each["type"] in types)
    }


def functions(plans: dict[str, Any]) -> dict[str, list[Resource]]:
    """By name in the code, the function as each example that has it would make it."""
    found: dict[str, list[Resource]] = {}
    for planned in plans.values():
        for each in resources(planned, "google_cloudfunctions2_function"):
            found.setdefault(each["index"], []).append(each["values"])
    return found


def environ(function: Resource) -> dict[str, str]:
    variables: dict[str, str] = function["service_config"][0]["environment_variables"]
    return variables


def roles(resource: Resource) -> set[str]:
    """The roles that a resource grants; of our own ones the last word."""
    grants = [resource["values"], *(resource["values"].get("access") or [])]
    return {re.sub(r"^projects/.*/roles/", "", grant["role"]) for grant in grants if grant.get("role")}


def needs(file: Path) -> set[str]:
    """The variables that an entry file names as necessary."""
    return {ast.literal_eval(argument) for argument in _call(file).args[1:]}


def needs_for_snapshots(file: Path) -> str | None:
    """The one that it names as necessary where a pipeline has small tables read by snapshot."""
    return next((ast.literal_eval(keyword.value) for keyword in _call(file).keywords), None)


def _call(file: Path) -> ast.Call:
    """How an entry file reads its settings."""
    calls = [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    [call] = [call for call in calls if ast.unparse(call.func) == "Settings.from_env"]
    return call


def test_every_role_has_a_reason(plans: dict[str, Any]) -> None:
    granted = {role for planned in plans.values() for each in resources(planned) for role in roles(each)}

    assert granted == set(ROLES["reasons"])


def test_our_own_roles_hold_what_there_is_a_reason_for(plans: dict[str, Any]) -> None:
    made = [
        each["values"] for planned in plans.values() for each in resources(planned, "google_project_iam_custom_role")
    ]

    assert {role["role_id"]: set(role["permissions"]) for role in made} == {
        name: set(held) for name, held in ROLES["permissions"].items()
    }


def test_what_holds_in_a_whole_project_could_not_be_granted_on_less(plans: dict[str, Any]) -> None:
    members = [each for planned in plans.values() for each in resources(planned, "google_project_iam_member")]

    unconditional = {role for each in members for role in roles(each) if not each["values"]["condition"]}

    assert unconditional == set(ROLES["in_a_whole_project"]["roles"])


def test_accounts_and_roles_wait_for_the_api_that_makes_them(plans: dict[str, Any]) -> None:
    made = declared(plans["one-database"], "google_service_account", "google_project_iam_custom_role")

    assert made
    assert [name for name, each in made.items() if "google_project_service.api" not in each.get("depends_on", [])] == []


def test_functions_wait_for_new_grants_to_hold(plans: dict[str, Any]) -> None:
    [function] = declared(plans["one-database"], "google_cloudfunctions2_function").values()

    assert "time_sleep.grants" in function["depends_on"]


def test_the_agent_of_pubsub_has_been_called_for_before_anything_is_granted_to_it(plans: dict[str, Any]) -> None:
    grants = {
        name: each
        for name, each in declared(plans["one-database"]).items()
        if "local.pubsub_agent" in each["expressions"].get("member", {}).get("references", [])
    }

    assert grants
    for each in grants.values():
        waited_for = {*each.get("depends_on", []), *re.findall(r"google_pubsub_\w+\.\w+", json.dumps(each))}

        assert any(name.startswith("google_pubsub_") for name in waited_for)


def test_the_agents_of_storage_and_bigquery_are_asked_for_by_name(plans: dict[str, Any]) -> None:
    """They come to be by that: what is granted to them earlier is granted to nobody."""
    planned = plans["two-instances"]  # which has a key of its own
    asked = {each["type"] for each in resources(planned) if each["mode"] == "data"}
    grants = {
        each["index"]: each["change"]["after_unknown"]
        for each in planned["resource_changes"]
        if each["type"] == "google_kms_crypto_key_iam_member"
    }

    assert {"google_storage_project_service_account", "google_bigquery_default_service_account"} <= asked
    assert {agent for agent, unknown in grants.items() if "member" in unknown} == {"bigquery", "storage"}


def test_an_access_list_and_grants_one_by_one_are_not_mixed_on_a_dataset(plans: dict[str, Any]) -> None:
    for planned in plans.values():
        assert not resources(planned, "google_bigquery_dataset_iam_member")
        assert all(each["values"]["access"] for each in resources(planned, "google_bigquery_dataset"))


def test_the_readme_says_how_much_a_first_plan_would_make(plans: dict[str, Any]) -> None:
    text = (ROOT / "terraform" / "README.md").read_text(encoding="utf-8")
    made = [each for each in plans["one-database"]["resource_changes"] if each["change"]["actions"] == ["create"]]

    assert re.findall(r"Plan: (\d+) to add", text) == [str(len(made))]


def test_every_example_prints_the_sql_of_each_of_its_pipelines(plans: dict[str, Any]) -> None:
    for planned in plans.values():
        [function] = [
            each for each in resources(planned, "google_cloudfunctions2_function") if each["index"] == "list_tables"
        ]
        pipelines = json.loads(environ(function["values"])["PIPELINES"])
        printed = planned["planned_values"]["outputs"]["grants"]["value"]

        assert printed.keys() == pipelines.keys()
        for name, pipeline in pipelines.items():
            assert f'GRANT CONNECT ON DATABASE "{pipeline["database"]}" TO "{pipeline["user"]}", ' in printed[name]


def test_every_example_prints_for_how_many_days_a_row_can_be_found(plans: dict[str, Any]) -> None:
    for planned in plans.values():
        printed = planned["planned_values"]["outputs"]

        assert printed["retention"]["value"].keys() == printed["grants"]["value"].keys()
        assert all(each["all"] is None or each["all"] >= 14 for each in printed["retention"]["value"].values())


def test_an_example_can_be_copied_out() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

    for example in EXAMPLES:
        text = (ROOT / "terraform" / "examples" / example / "main.tf").read_text(encoding="utf-8")

        assert re.findall(r'source += "(.*)"', text) == [
            f"git::https://github.com/YOUR-ORG/cloud-sql-mirror.git//terraform?ref=v{version}"
        ]
        assert "../" not in text


def test_what_the_readme_says_to_write_is_all_that_a_plan_needs(repository: Path) -> None:
    [block] = re.findall(
        r"^```hcl\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    folder = repository / "terraform" / "examples" / "readme"
    folder.mkdir()
    (folder / "main.tf").write_text(block, encoding="utf-8")
    (folder / "here_override.tf").write_text('module "mirror" {\n  source = "../.."\n}\n', encoding="utf-8")

    done = check(repository, "terraform/examples/readme")

    assert done.returncode == 0, done.stdout + done.stderr


def test_no_example_runs_when_the_clocks_change(plans: dict[str, Any]) -> None:
    for planned in plans.values():
        hours = {
            each["values"]["schedule"].split()[1]
            for each in resources(planned, "google_cloud_scheduler_job")
            if each["name"] == "mirror"
        }

        assert hours == {"4"}


NAMES = tomllib.loads((ROOT / "terraform" / "tests" / "names.toml").read_text(encoding="utf-8"))
"""By example, what other teams know by its name: buckets, datasets, topics and subscriptions, by their addresses."""


def test_nothing_that_others_know_by_its_name_has_moved(plans: dict[str, Any]) -> None:
    for example, planned in plans.items():
        named = {
            each["address"].removeprefix("module.mirror."): each["values"].get("dataset_id") or each["values"]["name"]
            for each in resources(
                planned,
                "google_storage_bucket",
                "google_bigquery_dataset",
                "google_pubsub_topic",
                "google_pubsub_subscription",
            )
        }

        assert named == NAMES[example]


def test_no_grant_takes_another_away_and_there_is_no_key(plans: dict[str, Any]) -> None:
    types = {each["type"] for planned in plans.values() for each in resources(planned)}

    assert [name for name in types if name.endswith(("_iam_binding", "_iam_policy", "_key"))] == []


def test_each_function_runs_as_an_account_of_its_own(plans: dict[str, Any]) -> None:
    for planned in plans.values():
        accounts = [
            each["values"]["service_config"][0]["service_account_email"]
            for each in resources(planned, "google_cloudfunctions2_function")
        ]

        assert len(set(accounts)) == len(accounts)


def test_each_function_of_the_code_is_deployed_and_no_other(plans: dict[str, Any]) -> None:
    assert set(functions(plans)) == {file.stem for file in (ROOT / "functions").glob("*.py")}


def test_the_entry_point_is_in_the_entry_file(plans: dict[str, Any]) -> None:
    for name, planned in functions(plans).items():
        for function in planned:
            build = function["build_config"][0]
            file = ROOT / "functions" / build["environment_variables"]["GOOGLE_FUNCTION_SOURCE"]
            defined = [node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)]

            assert defined == [build["entry_point"]] == [name]


def test_each_function_can_start_in_its_environment(plans: dict[str, Any]) -> None:
    for name, planned in functions(plans).items():
        for function in planned:
            file = ROOT / "functions" / f"{name}.py"
            settings = Settings.from_env(environ(function), *needs(file), needs_for_snapshots=needs_for_snapshots(file))

            assert settings.project == environ(function)["GOOGLE_CLOUD_PROJECT"]


def test_no_function_is_told_what_nobody_reads(plans: dict[str, Any]) -> None:
    source = (ROOT / "shared" / "settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)+|PIPELINES)"', source))

    for planned in functions(plans).values():
        for function in planned:
            of_libraries = {
                "THREADS",
                "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA",
            }  # functions-framework's, and the storage client's
            assert environ(function).keys() - read == of_libraries


def test_each_function_publishes_to_the_topics_that_its_code_asks_for(plans: dict[str, Any]) -> None:
    for name, planned in functions(plans).items():
        code = (ROOT / "functions" / f"{name}.py").read_text()
        if "shared.gcp.listeners" in code:
            code += (ROOT / "shared" / "gcp" / "listeners.py").read_text()
        asked = set(re.findall(r"settings\.(\w+_topic)", code))
        wanted = {variable.upper() for variable in asked} | needs(ROOT / "functions" / f"{name}.py")
        heard = {"JOB_EVENTS_TOPIC"}

        for function in planned:
            told = {variable for variable in environ(function) if variable.endswith("_TOPIC")}
            unasked = set() if '"small_tables":"snapshot"' in environ(function)["PIPELINES"] else {"SNAPSHOTS_TOPIC"}

            assert told - heard == (wanted | {"DEAD_LETTERS_TOPIC"}) - heard - unasked


def test_topics_have_in_the_environment_the_names_that_they_are_made_with(plans: dict[str, Any]) -> None:
    for planned in plans.values():
        made = {
            f"projects/{each['values']['project']}/topics/{each['values']['name']}"
            for each in resources(planned, "google_pubsub_topic")
        }
        told = {
            value
            for each in resources(planned, "google_cloudfunctions2_function")
            for variable, value in environ(each["values"]).items()
            if variable.endswith("_TOPIC")
        }

        assert told <= made


def test_each_function_hears_the_topic_that_its_code_is_tested_with(plans: dict[str, Any]) -> None:
    for planned in plans.values():
        heard = {each["values"]["name"] for each in resources(planned, "google_pubsub_subscription")}
        deployed = {each["index"] for each in resources(planned, "google_cloudfunctions2_function")}

        for name, topic in INPUTS.items():
            assert (f"{topic}-{name.replace('_', '-')}" in heard) == (name in deployed)


def test_the_archive_is_what_the_tests_run(plans: dict[str, Any], tmp_path: Path) -> None:
    lay_out(ROOT, tmp_path)
    tested = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}

    for planned in plans.values():
        read = _within(planned["prior_state"]["values"]["root_module"])
        [archive] = [each for each in read if each["type"] == "archive_file"]

        assert {file["filename"]: file["content"] for file in archive["values"]["source"]} == tested


def test_the_runtime_is_the_python_that_the_project_is_written_for(plans: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = project["requires-python"].removeprefix(">=").replace(".", "")

    runtimes = {function["build_config"][0]["runtime"] for planned in functions(plans).values() for function in planned}

    assert runtimes == {f"python{oldest}"}


def test_each_rule_of_pipelines_is_enforced_by_a_message_of_its_own(repository: Path) -> None:
    source = (repository / "terraform" / "pipelines" / "main.tf").read_text(encoding="utf-8")
    messages = [json.loads(text) for text in re.findall(r'error_message = (".*")$', source, re.MULTILINE)]

    answer = check(repository, "terraform", "--var-file", str(repository / "terraform" / "tests" / "wrong.tfvars"))

    said = " ".join(answer.stdout.split())

    assert messages
    assert [message for message in messages if message not in said] == []


def test_terraform_knows_the_keys_of_a_pipeline_that_the_functions_know() -> None:
    given = (ROOT / "terraform" / "pipelines.tf").read_text(encoding="utf-8")
    typed = (ROOT / "terraform" / "pipelines" / "main.tf").read_text(encoding="utf-8")
    of_the_deployment = {"schedule", "bucket_location", "export_days"}

    keys = set(re.findall(r'"(\w+)"', given.partition("  keys = [")[2].partition("]")[0]))
    in_type = set(re.findall(r"^    (\w+) += (?:string|optional)", typed, re.MULTILINE))
    in_type |= set(re.findall(r"^    (\w+) = optional\(object", typed, re.MULTILINE))

    assert keys == in_type
    assert keys - of_the_deployment == {field.name for field in fields(Pipeline)} - {"name"} | {
        "ca_file",
        "trust_database",
    }


def test_an_unknown_key_of_a_pipeline_is_refused_and_the_nearest_named(repository: Path, tmp_path: Path) -> None:
    meant = {
        "schedul": "schedule",
        "keepdays": "keep_days",
        "view_dataset": "views_dataset",
        "includes": "include",
        "Format": "format",
        "leaveout": "leave_out",
        "hashes": "hash",
    }
    given = tmp_path / "given.tfvars.json"
    pipelines = {"billing": dict.fromkeys(meant), "shop": {"dataflow": {"max_workers": 3}}}
    variables = {"project_id": "my-project", "region": "europe-west1", "pipelines": pipelines}
    given.write_text(json.dumps(variables), encoding="utf-8")

    answer = check(repository, "terraform", "--var-file", str(given))

    said = " ".join(answer.stdout.split())
    assert "dataflow has a key that is none of its own: it may have template, region, parameters" in said
    assert [
        key for key in meant if f"billing.{key} is no key of a pipeline: do you mean {meant[key]}?" not in said
    ] == []


@pytest.fixture
def lines(stage: Stage, log: Log) -> list[dict[str, Any]]:
    """What real functions log: of a load whose view moves, of an export that cannot be, and of a request that makes no sense."""
    stage.function("refresh_views").hear(*stage.load(stage.shard("orders_20260115"))[-1])
    stage.function("export_table").receive(table_export(columns=[], shard_date="no date"))
    stage.function("list_tables").receive(b"{")
    return log()


def selects(query: str, line: dict[str, Any]) -> bool:
    """Whether each selector of a PromQL query over the metric of outcomes takes a log line in."""
    found = [dict(re.findall(r'(\w+)(?:=~?|!=)"([^"]*)"', selector)) for selector in re.findall(r"\{(.*?)\}", query)]
    wanted = [{label: words for label, words in each.items() if label != "monitored_resource"} for each in found]
    return bool(wanted) and all(
        re.fullmatch(words or ".+", line.get(label, "")) for each in wanted for label, words in each.items()
    )


def queries(plan: Any, name: str) -> list[str]:
    """The PromQL of the alert policies of that name."""
    policies = [each for each in resources(plan, "google_monitoring_alert_policy") if each["name"] == name]
    return [each["values"]["conditions"][0]["condition_prometheus_query_language"][0]["query"] for each in policies]


def test_metrics_and_dashboard_read_fields_that_functions_print(
    plans: dict[str, Any], lines: list[dict[str, Any]]
) -> None:
    watching = resources(plans["one-database"], "google_logging_metric", "google_monitoring_dashboard")

    read = set(re.findall(r"jsonPayload\.(\w+)", json.dumps([each["values"] for each in watching])))

    assert read == {"function", "outcome", "pipeline", "seconds", "table"}
    assert read <= {field for line in lines for field in line}
    assert all({"function", "outcome", "seconds", "severity"} <= line.keys() for line in lines)


def test_a_view_that_moved_is_a_table_that_is_not_late(plans: dict[str, Any], lines: list[dict[str, Any]]) -> None:
    [query] = queries(plans["one-database"], "late")

    assert [line["outcome"] for line in lines if selects(query, line)] == ["moved"]


def test_whatever_is_given_up_is_a_failure(plans: dict[str, Any], lines: list[dict[str, Any]]) -> None:
    [query] = queries(plans["one-database"], "failed")

    assert [line["function"] for line in lines if selects(query, line)] == ["export_table", "list_tables"]
