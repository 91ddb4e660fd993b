"""Cooking puts values into a formula, and passes nothing over."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.documents import molecule
from moot_protocol.documents.formula import parse_formula
from moot_protocol.documents.molecule import Cooked, cook
from moot_protocol.errors import Code, RefusedError

TEXT = """
formula = "release"
version = "1.2.0"
description = "Release {{version}}"
author = "ada"

[vars]
version = { required = true, pattern = "[0-9.]+" }
loud = { default = "no", enum = ["no", "yes"] }
count = { default = 3, type = "int" }

[[steps]]
id = "build"
title = "Build {{ version }}"
priority = 1
labels = ["v{{version}}"]

[[steps.children]]
id = "test"
title = "Test {{count}} times"

[[steps]]
id = "tell"
title = "Tell"
needs = ["build"]
condition = "{{loud}} == yes"

[[steps]]
id = "ship"
title = "Ship"
needs = ["build", "tell"]
assignee = "{{loud}}"
"""


def cooked(text: str = TEXT, **values: str) -> Cooked:
    return cook(parse_formula(text), {"version": "1.0"} | values)


def refused(text: str = TEXT, **values: str) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        cooked(text, **values)
    return caught.value


def test_values_stand_where_their_names_stood() -> None:
    whole = cooked(loud="yes")
    assert (whole.name, whole.version, whole.description) == ("release", "1.2.0", "Release 1.0")
    assert [(step.id, step.title, step.parent, step.needs) for step in whole.steps] == [
        ("build", "Build 1.0", "", ()), ("test", "Test 3 times", "build", ()), ("tell", "Tell", "", ("build",)),
        ("ship", "Ship", "", ("build", "tell")),
    ]  # fmt: skip
    assert (whole.steps[0].labels, whole.steps[0].priority, whole.steps[3].assignee) == (("v1.0",), 1, "yes")


def test_a_step_whose_condition_is_false_is_left_out_and_so_are_needs_of_it() -> None:
    assert [(step.id, step.needs) for step in cooked().steps] == [("build", ()), ("test", ()), ("ship", ("build",))]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [("{{loud}}", False), ("!{{loud}}", True), ("{{loud}} != yes", True), ("{{loud}} == 'no'", True),
     ("{{version}}", True), ("", True)],
)  # fmt: skip
def test_conditions_look_at_one_value(condition: str, holds: bool) -> None:
    told = TEXT.replace("{{loud}} == yes", condition)
    assert ("tell" in [step.id for step in cooked(told).steps]) is holds


@pytest.mark.parametrize("condition", ["loud", "!{{loud}} == yes", "{{none}}", "{{loud}} > 1"])
def test_what_is_no_condition_is_refused(condition: str) -> None:
    assert "condition of step tell" in refused(TEXT.replace("{{loud}} == yes", condition)).message


def test_waiting_for_children_is_kept_apart_from_needs() -> None:
    text = TEXT + '\n[[steps]]\nid = "last"\ntitle = "Last"\nneeds = ["ship"]\nwaits_for = "{}"\n'
    assert cooked(text.replace("{}", "any-children")).steps[-1].waits_for == (("ship", "any-children"),)
    last = cooked(text.replace("{}", "children-of(build)")).steps[-1]
    assert (last.needs, last.waits_for) == (("ship",), (("build", "all-children"),))
    alone = text.replace('needs = ["ship"]\n', "").replace("{}", "all-children")
    assert "of no step" in refused(alone).message


@pytest.mark.parametrize(
    ("values", "words"),
    [({"loud": "maybe"}, "one of no, yes"), ({"count": "x"}, "whole number"), ({"version": "a"}, "like"),
     ({"other": "x"}, "no variable other"), ({"version": "1" * 4001}, "characters")],
)  # fmt: skip
def test_values_that_dont_fit_are_refused(values: dict[str, str], words: str) -> None:
    error = refused(**values)
    assert error.code is Code.USAGE
    assert words in error.message


def test_a_required_value_that_is_missing_is_named() -> None:
    with pytest.raises(RefusedError, match="no value for version") as missing:
        cook(parse_formula(TEXT), {})
    assert missing.value.hint == "--var version=…"


@pytest.mark.parametrize("pattern", ["(?=a)", "x" * 201, "(", ")(", r"(a)\\1"])
def test_a_pattern_that_could_take_for_ever_is_not_tried(pattern: str) -> None:
    assert "pattern of version" in refused(TEXT.replace("[0-9.]+", pattern)).message


@pytest.mark.timeout(60)
@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "a*a*a*a*b", f"{'a?' * 50}{'a' * 50}b", "(a|aa)" * 30 + "b"])
def test_a_pattern_of_many_ways_is_tried_in_linear_time(pattern: str) -> None:
    formula = parse_formula(TEXT.replace("[0-9.]+", pattern))
    with pytest.raises(RefusedError, match="it must be like"):
        cook(formula, {"version": "a" * 200})


OLD_PLACE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
OLD_CONDITION = re.compile(r"\s*(!?)\s*\{\{\s*([^{}]*?)\s*\}\}\s*(?:(==|!=)\s*(.*?)\s*)?")
"""The plain way to say it, which takes cubic time where nothing matches."""
BRACED = st.lists(st.sampled_from(["{{", "}}", "{", "}", " ", "\n", "\t", "a", "b", "!", "==", "!=", "="]), max_size=12)


@given(BRACED.map("".join))
def test_places_are_what_the_plain_pattern_says(text: str) -> None:
    found = [(place.span(), place[1].strip()) for place in molecule.PLACE.finditer(text)]
    assert found == [(place.span(), place[1]) for place in OLD_PLACE.finditer(text)]


@given(BRACED.map("".join))
def test_conditions_are_what_the_plain_pattern_says(text: str) -> None:
    found, old = molecule._CONDITION.fullmatch(text.strip()), OLD_CONDITION.fullmatch(text)
    assert (found is None) == (old is None)
    if found and old:
        assert (found[1], found[2].strip(), found[3], found[4]) == old.groups()


@pytest.mark.timeout(60)
def test_a_brace_that_nothing_closes_costs_no_more_than_its_length() -> None:
    text = "{{" + " " * 50_000 + "x"
    formula = parse_formula(TEXT)
    assert cook(formula._replace(description=text), {"version": "1"}).description == text
    steps = (formula.steps[0]._replace(condition=text), *formula.steps[1:])
    with pytest.raises(RefusedError, match="condition of step"):
        cook(formula._replace(steps=steps), {"version": "1"})


def test_a_text_that_names_no_variable_is_refused() -> None:
    assert "'none'" in refused(TEXT.replace("{{count}}", "{{none}}")).message


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [('id = "ship"', 'id = "ship"\ngate = {type = "human"}', "gate of step ship"),
     ('author = "ada"', "compose = {x=1}", "compose"),
     ('author = "ada"', 'extends = ["x"]', "extends")],
)  # fmt: skip
def test_what_has_no_meaning_here_is_refused_by_name(old: str, new: str, words: str) -> None:
    assert words in refused(TEXT.replace(old, new)).message


def test_only_workflows_with_a_step_left_become_issues() -> None:
    expansion = 'formula = "x"\nversion = "1.0.0"\ntype = "expansion"\n[[template]]\nid = "a"\ntitle = "A"\n'
    with pytest.raises(RefusedError, match="only a workflow"):
        cook(parse_formula(expansion), {})
    empty = (
        'formula = "x"\nversion = "1.0.0"\n[vars]\na = "no"\n[[steps]]\nid = "a"\ntitle = "A"\ncondition = "{{a}}"\n'
    )
    with pytest.raises(RefusedError, match="no steps"):
        cook(parse_formula(empty), {})
