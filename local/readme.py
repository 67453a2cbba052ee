"""
The parts of the documents that a program writes, each between two marks.

`make readme` writes the types, the cost and the command's reference, `make bench` the figures.
"""

from dataclasses import dataclass
from pathlib import Path

from cli import reference
from local import conversions, cost

README = Path(__file__).parent.parent / "README.md"
OF_TERRAFORM = README.parent / "terraform" / "README.md"
OF_THE_COMMAND = README.parent / "docs" / "command.md"
OF_VALUES = README.parent / "docs" / "values.md"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a document between two marks. The first mark names the part and the command that writes it."""

    name: str
    command: str

    @property
    def begin(self) -> str:
        return f"<!-- {self.name}: written by {self.command} -->\n"

    @property
    def end(self) -> str:
        return f"<!-- /{self.name} -->\n"

    def text(self, document: str) -> str:
        """The text between the marks. Raises ValueError if a mark is missing, and names the mark."""
        return self._split(document)[1]

    def rewritten(self, document: str, text: str) -> str:
        """The document with `text` between the marks. Raises ValueError if a mark is missing, and names the mark."""
        before, _, after = self._split(document)
        return f"{before}{self.begin}{text}{self.end}{after}"

    def _split(self, document: str) -> tuple[str, str, str]:
        before, begin, rest = document.partition(self.begin)
        if not begin:
            raise ValueError(f"the document has no line {self.begin.strip()}")
        text, end, after = rest.partition(self.end)
        if not end:
            raise ValueError(f"the document has no line {self.end.strip()} after {self.begin.strip()}")
        return before, text, after


TYPES = Part("types", "make readme")
COST = Part("cost", "make readme")
PRICE = Part("price", "make readme")
COMMANDS = Part("commands", "make readme")


def write(part: Part, text: str, document: Path) -> None:
    """Replace the text of a part of a document. Raises ValueError if a mark is missing, and names the mark."""
    document.write_text(part.rewritten(document.read_text(encoding="utf-8"), text), encoding="utf-8")


if __name__ == "__main__":
    write(TYPES, conversions.table(), OF_VALUES)
    write(COST, cost.part(cost.Example()), OF_TERRAFORM)
    write(PRICE, cost.summary(cost.Example()), README)
    write(COMMANDS, reference.text(), OF_THE_COMMAND)
