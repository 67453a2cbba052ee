"""
What the mirror of an example costs in a month, at Google's list prices.

`make readme` writes it into terraform/README.md, and the sum into the README.

Free tiers, queries, networks, taxes and Cloud SQL itself are left out.
"""

from dataclasses import dataclass, replace

DAYS = 365 / 12
"""Of a month."""
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for one unit, by the service's page of prices. `seen`: the date of the copy in which it was found."""

    dollars: float
    unit: str
    service: str
    seen: str

    @property
    def page(self) -> str:
        return f"https://cloud.google.com/{self.service}/pricing"


CPU = Price(0.000024, "vCPU-second", "run", "no date: to be checked")
MEMORY = Price(0.0000025, "GiB-second", "run", "no date: to be checked")
FILES = Price(0.020, "GB a month", "storage", "no date: to be checked")
WRITES = Price(0.000005, "write", "storage", "no date: to be checked")
SHARDS = Price(0.02, "GB a month", "bigquery", "11 August 2025, quoted by others")
OLD_SHARDS = Price(0.01, "GB a month, after 90 days", "bigquery", "11 August 2025, quoted by others")
SCHEDULES = Price(0.10, "job a month", "scheduler", "no date: to be checked")
MESSAGES = Price(40 / 1024, "GiB", "pubsub", "20 September 2026, quoted by others")
LOGS = Price(0.50, "GiB", "stackdriver", "no date (after October 2024)")
PRICES = (CPU, MEMORY, FILES, WRITES, SHARDS, OLD_SHARDS, SCHEDULES, MESSAGES, LOGS)


@dataclass(frozen=True, slots=True)
class Example:
    """A database that is mirrored once a day. `keep_days` None: for ever, which is reckoned after `age_days`."""

    tables: int = 100
    gigabytes: float = 20
    seconds_of_an_export: float = 40
    export_days: int = 40
    keep_days: int | None = 400
    age_days: int = 365 * 3


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the bill."""

    what: str
    amount: float
    unit: str
    dollars: float


def bill(example: Example) -> list[Item]:
    """What a month costs, once the oldest file and the oldest shard have their age."""
    kept = example.keep_days or example.age_days
    young = example.gigabytes * min(kept, 90)  # BigQuery halves the price of a table that has not changed for 90 days
    old = example.gigabytes * max(kept - 90, 0)
    files = example.gigabytes * example.export_days
    runs = DAYS
    tables = example.tables * runs
    waiting = tables * example.seconds_of_an_export
    # list_tables, a load, a move of a view, and the reconciles, at most.
    others = 60 * runs + tables * (20 + 2) + 4 * 24 * DAYS * 5
    second = CPU.dollars + 0.5 * MEMORY.dollars
    writes = tables * 10  # staged, moved, sealed, recorded, announced
    gib_of_messages = tables * 6 * 4_000 / GIB
    gib_of_logs = tables * 10 * 1_000 / GIB
    return [
        Item("shards of the last 90 days", young, "GB", young * SHARDS.dollars),
        Item("older shards", old, "GB", old * OLD_SHARDS.dollars),
        Item("files", files, "GB", files * FILES.dollars),
        Item("`export_table`, which waits for the exports", waiting, "s", waiting * second),
        Item("the other functions, at most", others, "s", others * second),
        Item("files and records written", writes, "writes", writes * WRITES.dollars),
        Item("schedules", 2, "jobs", 2 * SCHEDULES.dollars),
        Item("messages", gib_of_messages, "GiB", gib_of_messages * MESSAGES.dollars),
        Item("log lines", gib_of_logs, "GiB", gib_of_logs * LOGS.dollars),
        Item("loads and moves of views, which are free", tables, "", 0),
    ]


def summary(example: Example) -> str:
    """The bill in one paragraph of Markdown."""
    items = bill(example)
    storage = sum(item.dollars for item in items if item.unit == "GB")
    together = sum(item.dollars for item in items)
    return (
        f"**Price.** {example.tables} tables, {example.gigabytes:g} GB in all, mirrored every day and kept for {example.keep_days} days, "
        f"cost ${together:,.0f} a month at list prices, of which ${storage:,.0f} are storage. "
        "[What it costs](terraform/README.md#what-it-costs) has each line, what is not in it, and which prices are to be checked.\n"
    )


def part(example: Example) -> str:
    """The bill in Markdown, and the pages that its prices are from."""
    items = bill(example)
    later = sum(item.dollars for item in bill(replace(example, keep_days=None)))
    head = (
        f"{example.tables} tables, {example.gigabytes:g} GB in all, are exported every day in {example.seconds_of_an_export:g} s "
        f"each. Files are kept for {example.export_days} days, shards for {example.keep_days}. With `keep_days = null` it is "
        f"${later:,.0f} a month after {example.age_days // 365} years, and grows."
    )
    lines = [
        head,
        "",
        "| what | a month | |",
        "| --- | --: | --: |",
        *(f"| {item.what} | {_number(item.amount)} {item.unit} | ${item.dollars:,.2f} |" for item in items),
        f"| together | | ${sum(item.dollars for item in items):,.2f} |",
        "",
        "| price | of | date of the page |",
        "| --- | --- | --- |",
        *(
            f"| ${_price(each.dollars)} a {each.unit} | [{each.service}]({each.page}) | {each.seen} |"
            for each in PRICES
        ),
    ]
    return "\n".join(lines) + "\n"


def _number(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 1 else f"{amount:.2f}"


def _price(dollars: float) -> str:
    return f"{dollars:.7f}".rstrip("0") if dollars < 0.01 else f"{dollars:.2f}"
