"""Names and texts as PostgreSQL's SQL writes them, safe whatever they hold and however the server is set."""


def identifier(name: str) -> str:
    """A quoted name."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text constant; one with a backslash is written so that `standard_conforming_strings` does not matter."""
    quoted = "'" + text.replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted
