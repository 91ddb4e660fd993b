"""Formulas in the shapes of `bd formula show` and `bd cook`."""

from moot.console.molecules.formula_shapes import cooked_document, counted, formula_document
from moot_protocol.documents.formula import parse_formula
from moot_protocol.documents.molecule import cook

TEXT = """
formula = "f"
version = 2
description = "First line\\nsecond"
[vars]
who = { required = true, enum = ["a", "b"], description = "Who" }
size = "3"
[[steps]]
id = "one"
title = "Ask {{who}}"
priority = 0
[[steps.children]]
id = "below"
title = "Below"
[[steps]]
id = "two"
title = "Wait"
needs = ["one"]
waits_for = "all-children"
"""


def test_variables_stay_open_and_what_says_nothing_is_left_out() -> None:
    document = formula_document(parse_formula(TEXT))
    assert (document["formula"], document["version"], document["type"]) == ("f", "2.0.0", "workflow")
    assert document["vars"] == {
        "who": {"description": "Who", "required": True, "enum": ["a", "b"]}, "size": {"default": "3"},
    }  # fmt: skip
    below = {"id": "below", "title": "Below"}
    assert document["steps"][0] == {"id": "one", "title": "Ask {{who}}", "priority": 0, "children": [below]}


def test_values_are_in_it_and_steps_name_the_one_above() -> None:
    document = cooked_document(cook(parse_formula(TEXT), {"who": "a"}))
    one, below, two = document["steps"]
    assert (one["title"], below["parent"], document["values"]) == ("Ask a", "one", {"who": "a", "size": "3"})
    assert two["waits_for"] == [{"step": "one", "gate": "all-children"}]


def test_a_list_counts_steps_below_others_too() -> None:
    assert counted(parse_formula(TEXT)) == {"type": "workflow", "description": "First line", "steps": 3, "vars": 2}
