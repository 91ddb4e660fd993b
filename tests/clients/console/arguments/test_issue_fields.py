"""Values of the flags that give an issue its fields."""

from argparse import ArgumentTypeError, Namespace
from typing import Any

import pytest

from moot.console.arguments.issue_fields import minutes, priority, read_entries, reads_stdin
from moot_protocol.errors import Code, RefusedError
from moot_testkit.clients.console import run_console


@pytest.mark.parametrize(("text", "expected"), [("0", 0), ("4", 4), ("P0", 0), ("p3", 3), (" P1 ", 1)])
def test_a_priority_is_0_to_4_with_or_without_a_p(text: str, expected: int) -> None:
    assert priority(text) == expected


@pytest.mark.parametrize("text", ["5", "-1", "P", "PP1", "high", "", "1.0", "\u0661"])
def test_anything_else_is_no_priority(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        priority(text)


def test_an_estimate_is_a_whole_number_of_minutes() -> None:
    assert minutes("0") == 0
    for text in ("-1", "1h", "", "1.5", "9" * 12, "\u0661"):
        with pytest.raises(ArgumentTypeError):
            minutes(text)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("k=v", "v"),
        ("k=1", 1),
        ("k=true", True),
        ("k=", ""),
        ("k=a=b", "a=b"),
        ('k={"a":[1]}', {"a": [1]}),
        ("k=1.", "1."),
    ],
)
def test_a_metadata_entry_is_json_where_it_can_be_and_else_text(entry: str, value: Any) -> None:
    assert read_entries([entry]) == {"k": value}


@pytest.mark.parametrize("levels", [65, 900, 100_000])
def test_metadata_that_is_nested_too_deeply_is_refused_and_is_no_defect(levels: int) -> None:
    deep = "[" * levels + "]" * levels
    with pytest.raises(RefusedError, match=r"the value of k .*nested deeper than 64 levels") as caught:
        read_entries([f"k={deep}"])
    assert caught.value.code is Code.INVALID
    for flags in (["--metadata", f'{{"k": {deep}}}'], ["--metadata", "@deep.json"]):
        ran = run_console(["create", "T", *flags], files={"deep.json": f'{{"k": {deep}}}'.encode()})
        assert (ran.code, ran.crashes) == (1, [])
        assert "--metadata " in ran.err
        assert "nested deeper than 64 levels" in ran.err
    assert read_entries([f"k={'[' * 64}{']' * 64}"])


@pytest.mark.parametrize(
    ("given", "reads"),
    [
        ({"stdin": True}, True),
        ({"body_file": "-"}, True),
        ({"description": "-"}, True),
        ({"design_file": "-"}, True),
        ({"file": "-"}, True),
        ({"body_file": "x", "stdin": False}, False),
        ({}, False),
    ],
)
def test_what_reads_standard_input_is_known_beforehand(given: dict[str, Any], *, reads: bool) -> None:
    assert reads_stdin(Namespace(**given)) is reads
