"""What the tools take: schemas and checks from one structure."""

import pytest

from moot.mcp import arguments as args
from moot_protocol.errors import Code, RefusedError


def test_arguments_are_read_with_their_defaults() -> None:
    assert args.read(args.Find, {}) == args.Find(which="ready", limit=args.FIND_LIMIT)
    assert args.read(args.Create, {"issues": [{"title": "One"}]}) == args.Create([args.NewIssue("One")])


@pytest.mark.parametrize(
    ("shape", "given", "named"),
    [
        (args.Show, {}, "ids"),
        (args.Show, {"ids": []}, "ids"),
        (args.Find, {"colour": "red"}, "colour"),
        (args.Create, {"issues": [{"title": "One", "priority": 9}]}, "priority"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_naming_the_field(
    shape: type[args.Show], given: dict[str, object], named: str
) -> None:
    with pytest.raises(RefusedError, match=named) as caught:
        args.read(shape, given)
    assert caught.value.code is Code.INVALID
    assert shape.__struct_fields__[0] in caught.value.hint


def test_a_word_that_is_no_choice_is_answered_with_the_choices() -> None:
    with pytest.raises(RefusedError, match="later") as caught:
        args.read(args.Find, {"which": "later"})
    assert caught.value.hint == "one of ready, open, mine, blocked, closed, all"


def test_a_mistake_inside_an_issue_is_answered_with_what_an_issue_takes() -> None:
    with pytest.raises(RefusedError, match="wrong") as caught:
        args.read(args.Create, {"issues": [{"title": "One", "wrong": 1}]})
    assert caught.value.hint == f"each of issues takes {', '.join(args.NewIssue.__struct_fields__)}"


def test_a_schema_holds_what_a_caller_needs_and_nothing_that_only_repeats() -> None:
    assert args.schema_of(args.Link) == {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "depends_on": {"type": "string"},
            "type": {
                "type": "string",
                "default": "blocks",
                "description": "blocks, waits-for, parent-child; related, discovered-from, … hold nothing up",
            },
            "remove": {"type": "boolean"},
        },
        "required": ["id", "depends_on"],
        "additionalProperties": False,
    }


def test_an_inner_structure_stands_in_its_place_with_its_own_titles_kept() -> None:
    inner = args.schema_of(args.Create)["properties"]["issues"]["items"]
    assert set(inner["properties"]) == set(args.NewIssue.__struct_fields__)
    assert inner["properties"]["title"] == {"type": "string"}
    assert inner["required"] == ["title"]
