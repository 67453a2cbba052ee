from typing import Any

import pytest

from local import fields

VALUE = {"a": {"b": 1, "c": {"d": 2}}, "items": [{"x": 1, "y": {"z": 2, "w": 3}}, {"x": 4}], "e": 5}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("e", {"e": 5}),
        ("a/b,e", {"a": {"b": 1}, "e": 5}),
        ("a/b,a/c/d", {"a": VALUE["a"]}),
        ("items(x,y/z)", {"items": [{"x": 1, "y": {"z": 2}}, {"x": 4}]}),
        ("items/y(z)", {"items": [{"y": {"z": 2}}, {}]}),
        ("a,a/b", {"a": VALUE["a"]}),
        ("a/b,a", {"a": VALUE["a"]}),
        ("*", VALUE),
        ("items/*/z", {"items": [{"x": 1, "y": {"z": 2}}, {"x": 4}]}),
        ("nothing", {}),
    ],
)
def test_a_selection_keeps_what_it_names(text: str, selected: Any) -> None:
    assert fields.select(fields.parse(text), VALUE) == selected


@pytest.mark.parametrize("text", ["", ",a", "a,", "a(b", "a)", "a()", "/a", "a//b", "a(b)c"])
def test_what_is_no_selection_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Invalid field selection"):
        fields.parse(text)
