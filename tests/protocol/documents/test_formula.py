"""Formulas: what parses can be poured, and what doesn't is refused by line and field."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.documents.formula import BUMPS, FormulaType, bumped, parse_formula, with_version
from moot_protocol.limits import FORMULA_STEPS, NESTING
from moot_protocol.text.semver import precedence
from moot_protocol.text.toml_text import DocumentError

SHINY = '''\
description = """
Design first.
[[steps]]
"""
formula = "shiny"
type = "workflow"
version = 1
execution = "distributed"

[vars]
wisp = "patrol"
count = 3
[vars.feature]
description = "What to build"
required = true
[vars.mode]
default = "safe"
enum = ["safe", "fast"]

[[steps]]
id = "design"
title = "Design {{feature}}"
output = "design.md"

[[steps]]
id = "build"
title = "Build"
type = "feature"
priority = 1
labels = ["core"]
needs = ["design"]
depends_on = ["design", "build-docs"]
waits_for = "children-of(design)"
[[steps.children]]
id = "build-docs"
title = "Document"
'''


def step(name: str, *needs: str) -> str:
    return f'[[steps]]\nid = "{name}"\ntitle = "{name}"\nneeds = {list(needs)!r}\n'


def formula(*steps: str, head: str = 'formula = "f"\nversion = "1.0.0"\n') -> str:
    return head + "".join(steps)


def refused(text: str) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        parse_formula(text)
    return caught.value


# -- What is read ------------------------------------------------------------------------------------------------
def test_a_formula_of_gas_town_is_read_whole() -> None:
    shiny = parse_formula(SHINY)
    assert (shiny.name, shiny.version, shiny.type) == ("shiny", "1.0.0", FormulaType.WORKFLOW)
    assert [each.id for each in shiny.all_steps()] == ["design", "build", "build-docs"]
    build = shiny.steps[1]
    assert (build.type, build.priority, build.labels) == ("feature", 1, ("core",))
    assert build.needs == ("design", "build-docs")
    assert build.children[0].title == "Document"
    variables = {each.name: each for each in shiny.variables}
    assert variables["wisp"].default == "patrol"
    assert variables["count"].default == "3"
    assert variables["feature"].required
    assert variables["mode"].enum == ("safe", "fast")


def test_what_has_no_meaning_here_is_kept_by_its_name() -> None:
    shiny = parse_formula(SHINY)
    assert shiny.others == {"execution": "distributed"}
    assert shiny.steps[0].others == {"output": "design.md"}


def test_an_expansion_has_a_template() -> None:
    text = (
        'formula = "five"\nversion = "1.2.0"\ntype = "expansion"\n'
        '[[template]]\nid = "{target}.draft"\ntitle = "Draft"\n'
        '[[template]]\nid = "{target}.polish"\ntitle = "Polish"\nneeds = ["{target}.draft"]\n'
    )
    assert [each.id for each in parse_formula(text).template] == ["{target}.draft", "{target}.polish"]
    assert refused(text.replace('needs = ["{target}.draft"]', 'needs = ["draft"]')).field == "template[1].needs"


def test_an_aspect_has_advice_before_and_after_steps() -> None:
    text = (
        'formula = "audit"\nversion = "1.0.0"\ntype = "aspect"\n[[advice]]\ntarget = "implement"\n'
        '[advice.before]\nid = "{step.id}-ready"\n'
        '[[advice.around.after]]\nid = "{step.id}-scan"\ntitle = "Scan"\n'
    )
    (advice,) = parse_formula(text).advice
    assert (advice.target, [s.id for s in advice.before], [s.id for s in advice.after]) == (
        "implement",
        ["{step.id}-ready"],
        ["{step.id}-scan"],
    )
    assert refused(text.replace('target = "implement"', "")).field == "advice[0].target"


def test_the_name_may_stand_under_name() -> None:
    head = 'name = "f"\nversion = "1.0.0"\n'
    assert parse_formula(formula(step("a"), head=head)).name == "f"
    assert refused(formula(step("a"), head='formula = "g"\n' + head)).field == "name"


def test_what_goes_on_from_another_formula_may_need_its_steps() -> None:
    head = 'formula = "f"\nversion = "1.0.0"\nextends = ["base"]\n'
    assert parse_formula(formula(step("a", "of-base"), head=head)).extends == ("base",)
    assert parse_formula(head).steps == ()


# -- What is refused ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "field", "line"),
    [
        (formula(step("a"), head='version = "1.0.0"\n'), "formula", 0),
        (formula(step("a"), head='formula = "f"\n'), "version", 0),
        (formula(step("a"), head='formula = "f"\nversion = "1.0"\n'), "version", 0),
        (formula(step("a"), head='formula = "f"\nversion = 0\n'), "version", 0),
        (formula(step("a"), head='formula = "f"\nversion = true\n'), "version", 0),
        (formula(step("a"), head='formula = "f"\nversion = "1.0.0"\ntype = "convoy"\n'), "type", 0),
        (formula(), "steps", 0),
        (formula(head='formula = "f"\nversion = "1.0.0"\ntype = "expansion"\n'), "template", 0),
        (formula(head='formula = "f"\nversion = "1.0.0"\ntype = "aspect"\n'), "advice", 0),
        (formula("[[steps]]\n", 'title = "t"\n'), "steps[0].id", 3),
        (formula(step("a"), '[[steps]]\nid = "b"\n'), "steps[1].title", 7),
        (formula(step("a"), step("a")), "steps[1].id", 7),
        (formula(step("a", "z")), "steps[0].needs", 3),
        (formula(step("a", "a")), "steps[0].needs", 3),
        (formula(step("a", "b"), step("b", "c"), step("c", "a")), "steps[0].needs", 3),
        (formula(step("a") + "priority = 5\n"), "steps[0].priority", 3),
        (formula(step("a") + 'waits_for = "somebody"\n'), "steps[0].waits_for", 3),
        (formula(step("a") + 'waits_for = "children-of(z)"\n'), "steps[0].needs", 3),
        (formula(step("a") + "labels = [1]\n"), "steps[0].labels", 3),
        (formula(step("a") + '[[steps.children]]\nid = "a"\ntitle = "t"\n'), "steps[0].children[0].id", 3),
        (formula(step("a") + "[vars.v]\nrequired = true\ndefault = 'x'\n"), "vars.v.default", 0),
        (formula(step("a") + "[vars.v]\ndefault = []\n"), "vars.v.default", 0),
        (formula(step("a") + "[vars]\nv = []\n"), "vars.v", 0),
        (formula(step("a") + "[vars]\nv = 0x" + "f" * 5000), "vars.v", 0),
    ],
)
def test_an_error_names_its_field_and_where_it_is_certain_its_line(text: str, field: str, line: int) -> None:
    error = refused(text)
    assert (error.field, error.line) == (field, line)
    assert error.problem


def test_steps_that_wait_for_one_another_are_named_in_their_order() -> None:
    error = refused(formula(step("x"), step("a", "x", "b"), step("b", "c"), step("c", "a")))
    assert error.problem == "steps wait for one another: a -> b -> c -> a"


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=16))
def test_exactly_the_formulas_without_a_cycle_are_accepted(edges: list[tuple[int, int]]) -> None:
    needs: dict[int, set[int]] = {each: set() for each in range(8)}
    for later, earlier in edges:
        needs[later].add(earlier)
    left = dict(needs)
    while ready := [each for each, waits in left.items() if not waits & set(left)]:
        for each in ready:
            del left[each]
    text = formula(*(step(f"s{each}", *(f"s{other}" for other in sorted(needs[each]))) for each in range(8)))
    if left:
        assert refused(text).field.endswith("needs")
    else:
        assert len(parse_formula(text).steps) == 8


def test_there_is_a_most_of_steps_and_of_their_depth() -> None:
    def child(number: int) -> str:
        return f'[[steps.children]]\nid = "c{number}"\ntitle = "t"\n'

    assert "at most" in refused(formula(*(step(f"s{n}") for n in range(FORMULA_STEPS + 1)))).problem
    assert "at most" in refused(formula(step("a"), *map(child, range(FORMULA_STEPS)))).problem
    deep = "".join(f'[[steps{".children" * depth}]]\nid = "s{depth}"\ntitle = "t"\n' for depth in range(NESTING + 4))
    assert refused(formula(deep)).field.endswith("children")


# -- Versions ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("version", "major", "minor", "patch"),
    [
        ("1.2.3", "2.0.0", "1.3.0", "1.2.4"),
        ("1.2.3-rc.1", "2.0.0", "1.3.0", "1.2.3"),
        ("1.3.0-rc.1", "2.0.0", "1.3.0", "1.3.0"),
        ("2.0.0-rc.1", "2.0.0", "2.0.0", "2.0.0"),
    ],
)
def test_a_version_is_counted_up(version: str, major: str, minor: str, patch: str) -> None:
    assert [bumped(version, part) for part in BUMPS] == [major, minor, patch]


@given(st.tuples(*[st.integers(0, 3)] * 3), st.sampled_from(["", "-rc.1"]), st.sampled_from(BUMPS))
def test_the_next_version_comes_after(numbers: tuple[int, int, int], tail: str, part: str) -> None:
    version = ".".join(map(str, numbers)) + tail
    before, after = precedence(version), precedence(bumped(version, part))
    assert before is not None
    assert after is not None
    assert before < after


@pytest.mark.parametrize(("version", "part"), [("1.0", "patch"), ("1.0.0", "label")])
def test_what_has_no_next_version_is_a_misuse(version: str, part: str) -> None:
    with pytest.raises(ValueError, match="no next"):
        bumped(version, part)


def test_another_version_changes_nothing_else_of_a_text() -> None:
    text = SHINY.replace("version = 1\n", "  version  =  '1.0.0'  # as released\r\n")
    changed = with_version(text, "1.0.1")
    assert changed == text.replace("'1.0.0'", '"1.0.1"')
    assert parse_formula(changed) == parse_formula(text)._replace(version="1.0.1")


def test_a_line_that_only_looks_like_the_version_is_left_alone() -> None:
    text = 'description = """\nversion = 1\n"""\nformula = "f"\nversion = 1\n[other]\nversion = 1\n' + step("a")
    changed = with_version(text, "2.0.0")
    assert changed.count('version = "2.0.0"') == 1
    assert parse_formula(changed).version == "2.0.0"
    assert parse_formula(changed).description == "version = 1\n"


def test_where_the_version_s_line_is_in_doubt_it_is_not_touched() -> None:
    with pytest.raises(DocumentError, match="can't be told"):
        with_version("formula = 'f'\n\"version\" = '1.0.0'\n" + step("a"), "1.0.1")
    lookalikes = 'description = """\n' + "version = 1\n" * 40 + '"""\nformula = "f"\nversion = 1\n'
    with pytest.raises(DocumentError, match="can't be told"):
        with_version(lookalikes + step("a"), "1.0.1")


@given(st.text(max_size=80) | st.lists(st.sampled_from(SHINY.split("\n")), max_size=20).map("\n".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(DocumentError):
        assert parse_formula(text).version


def test_a_version_keeps_the_spaces_around_it() -> None:
    text = SHINY.replace("version = 1\n", "version =  1 \t \n")
    assert with_version(text, "2.0.0") == text.replace("=  1 \t", '=  "2.0.0" \t')


@pytest.mark.timeout(60)
def test_a_line_of_spaces_like_the_version_is_left_alone() -> None:
    text = 'description = """\nversion = ' + " " * 50_000 + 'x\n"""\nformula = "f"\nversion = 1\n' + step("a")
    assert with_version(text, "2.0.0") == text.replace("version = 1", 'version = "2.0.0"')
