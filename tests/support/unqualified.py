"""What of an SQL statement PostgreSQL would look up on the search_path, by its own parser."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pglast
from pglast import ast
from pglast.enums import A_Expr_Kind, SubLinkType

_PLAIN = (
    *("A_ArrayExpr", "A_Const", "A_Indices", "A_Indirection", "Alias", "BoolExpr", "Boolean", "CoalesceExpr", "ColumnRef"),
    *("CommonTableExpr", "Float", "Integer", "JoinExpr", "NullTest", "ParamRef", "RangeFunction", "RangeSubselect", "RawStmt"),
    *("CaseExpr", "CaseWhen", "RangeVar", "ResTarget", "SelectStmt", "SortBy", "String", "SubLink", "TypeCast", "WithClause"),
)  # fmt: skip
"""
Kinds of nodes that name nothing that is looked up by its name, or are looked at more closely below.

coalesce() calls nothing: its operands must be of one category. ORDER BY, GROUP BY and UNION compare by the default operators of
a type, whatever they are called.
"""
_NAMES = {"A_Expr": "name", "FuncCall": "funcname", "RangeTableSample": "method", "TypeName": "names"}
"""Where these have a name that is looked up."""
_NAMED_OPERATORS = {A_Expr_Kind.AEXPR_OP, A_Expr_Kind.AEXPR_OP_ANY, A_Expr_Kind.AEXPR_OP_ALL}
_TESTS = {SubLinkType.EXISTS_SUBLINK, SubLinkType.EXPR_SUBLINK, SubLinkType.ARRAY_SUBLINK}


@cache
def found(sql: str, *tables: str) -> list[str]:
    """All that is not pg_catalog's by name. Relations may be `tables`, too: schema and name with a dot between them."""
    [statement] = pglast.parse_sql(sql)
    nodes = list(_nodes(statement))
    parts = {node.ctename for node in nodes if isinstance(node, ast.CommonTableExpr)}
    return [said for node in nodes if (said := _unqualified(node, parts, tables))]


def _nodes(value: Any) -> Iterator[Any]:
    """It and all that is below it."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, ast.Node):
            yield each
            left += [getattr(each, name) for name in each]
        elif isinstance(each, tuple):
            left += each


def _unqualified(node: Any, parts: set[str | None], tables: tuple[str, ...]) -> str | None:
    match node:
        case ast.RangeVar():
            name = f"{node.schemaname}.{node.relname}"
            is_part = node.schemaname is None and node.relname in parts
            return None if node.schemaname == "pg_catalog" or name in tables or is_part else f"the relation {name}"
        case ast.A_Expr() if node.kind not in _NAMED_OPERATORS:
            return f"the operator {_name(node.name)} of another kind"
        case ast.SubLink() if node.subLinkType not in _TESTS:
            return "a comparison with a subquery"
        case ast.CaseExpr(arg=operand) if operand is not None:
            return "CASE with an operand"
        case ast.JoinExpr() if node.usingClause or node.isNatural:
            return "USING"
        case ast.SortBy() if node.useOp:
            return "ORDER BY USING"
    kind = type(node).__name__
    if kind in _NAMES:
        name = getattr(node, _NAMES[kind])
        return None if _is_ours(name) else f"the {kind} {_name(name)}"
    return None if kind in _PLAIN else f"a {kind}"


def _name(parts: Any) -> str:
    return ".".join(part.sval for part in parts or ())


def _is_ours(parts: Any) -> bool:
    return len(parts or ()) == 2 and parts[0].sval == "pg_catalog"
