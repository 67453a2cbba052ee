"""What a month costs, as terraform/README.md has it."""

import re
from dataclasses import replace

from local import cost, readme
from local.cost import Example
from tests.support.repository import ROOT


def dollars(example: Example, what: str) -> float:
    [found] = [item.dollars for item in cost.bill(example) if item.what == what]
    return found


def test_the_readme_has_it_as_make_readme_would_write_it() -> None:
    document = readme.OF_TERRAFORM.read_text(encoding="utf-8")

    assert readme.COST.text(document) == cost.part(Example())


def test_the_example_keeps_files_as_long_as_terraform_does() -> None:
    defaults = (ROOT / "terraform" / "pipelines" / "main.tf").read_text(encoding="utf-8")

    assert re.findall(r"export_days +=.*, (\d+)\)", defaults) == [str(Example().export_days)]


def test_a_shard_costs_half_after_ninety_days() -> None:
    example = Example(gigabytes=10, keep_days=190)

    assert dollars(example, "shards of the last 90 days") == 10 * 90 * 0.02
    assert dollars(example, "older shards") == 10 * 100 * 0.01


def test_shards_that_are_kept_for_a_week_are_all_young() -> None:
    example = Example(gigabytes=100, keep_days=7)

    assert (dollars(example, "shards of the last 90 days"), dollars(example, "older shards")) == (14, 0)


def test_an_export_is_paid_for_as_long_as_it_is_waited_for() -> None:
    waiting = "`export_table`, which waits for the exports"
    example = Example(tables=12, seconds_of_an_export=1)

    assert round(dollars(example, waiting), 6) == round(365 * (0.000024 + 0.5 * 0.0000025), 6)
    assert dollars(replace(example, seconds_of_an_export=60), waiting) == 60 * dollars(example, waiting)


def test_the_sum_is_of_what_stands_above_it() -> None:
    said = [
        float(amount.replace(",", ""))
        for amount in re.findall(r"\| \$([\d,.]+) \|$", cost.part(Example()), re.MULTILINE)
    ]

    *items, together = said
    assert abs(sum(items) - together) < 0.005 * len(items)
