"""Formulas: work described once, to be poured into issues. The format is that of Beads and Gas Town, in TOML.

A formula that parses is one that can be poured: every step has an id of its own, what it needs is there, and no step
waits for itself. What Moot knows no meaning of is kept beside, by its name, so that whoever pours can refuse it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from moot_protocol.limits import FORMULA_STEPS, LOWEST_PRIORITY, NESTING
from moot_protocol.text.semver import precedence
from moot_protocol.text.toml_text import DocumentError, Table, lines_of_tables, read_toml

BUMPS: Final = ("major", "minor", "patch")
"""The parts of a version that can be counted up."""
CHILDREN_OF: Final = re.compile(r"children-of\((.+)\)")
_VERSION_LINE: Final = re.compile(r"^[ \t]*+version[ \t]*+=[ \t]*+([^#\r\n]*+)(?:#.*+|\r)?$", re.MULTILINE)
"""A line that may hold the version, which is the group without the spaces after it."""
_WHOLE_VERSIONS: Final = 1_000_000
"""Whole numbers that stand for versions lie below."""
_VERSION_LINES: Final = 16
"""Lines looked at for the one that holds the version."""


class FormulaType(StrEnum):
    """What a formula is for."""

    WORKFLOW = "workflow"
    """Steps that become issues."""
    EXPANSION = "expansion"
    """A template that takes the place of a step of another formula."""
    ASPECT = "aspect"
    """Steps that go before and after steps of other formulas."""


class Variable(NamedTuple):
    """A value that whoever pours gives, for `{{name}}` in texts."""

    name: str
    description: str = ""
    default: str | None = None
    required: bool = False
    enum: tuple[str, ...] = ()
    pattern: str = ""
    type: str = ""


class Step(NamedTuple):
    """A piece of work: what becomes an issue."""

    id: str
    title: str = ""
    description: str = ""
    notes: str = ""
    type: str = ""
    priority: int | None = None
    labels: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """Ids of steps that come first."""
    assignee: str = ""
    condition: str = ""
    waits_for: str = ""
    """`all-children`, `any-children` or `children-of(id)`."""
    children: tuple["Step", ...] = ()
    others: Mapping[str, Any] = {}
    """Further fields (`loop`, `gate`, `expand`…), as they stand."""


class Advice(NamedTuple):
    """What an aspect puts around steps."""

    target: str
    """A glob over ids of steps."""
    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()


class Formula(NamedTuple):
    """A formula, checked."""

    name: str
    version: str
    """A semantic version; a whole number n in the text stands for n.0.0."""
    type: FormulaType
    description: str = ""
    variables: tuple[Variable, ...] = ()
    steps: tuple[Step, ...] = ()
    template: tuple[Step, ...] = ()
    """Of an expansion: the steps that take the place of `{target}`."""
    advice: tuple[Advice, ...] = ()
    extends: tuple[str, ...] = ()
    """Formulas whose steps and variables it goes on from."""
    others: Mapping[str, Any] = {}

    def all_steps(self) -> Iterator[Step]:
        """Every step, those below others too, parents first."""
        return _flat(self.steps)


def parse_formula(text: str) -> Formula:
    """Read a formula.

    Args:
        text: TOML.

    Raises:
        DocumentError: it is none; says the line or the field.
    """
    top = Table(read_toml(text))
    kind = _type_of(top)
    steps = _steps(top.tables("steps", lines_of_tables(text, "steps")))
    template = _steps(top.tables("template", lines_of_tables(text, "template")))
    advice = tuple(_advice(table) for table in top.tables("advice", lines_of_tables(text, "advice")))
    extends = top.texts("extends")
    content = {FormulaType.WORKFLOW: steps, FormulaType.EXPANSION: template, FormulaType.ASPECT: advice}[kind]
    if not content and not extends:
        missing = {"workflow": "steps", "expansion": "template", "aspect": "advice"}[kind]
        raise top.error(missing, f"a formula of type {kind} has at least one [[{missing}]]")
    for each in (steps, template):
        _check_steps(each, are_all_here=not extends)
    return Formula(
        name=_name_of(top),
        version=_version_of(top),
        type=kind,
        description=top.text("description"),
        variables=_variables(top.table("vars")),
        steps=tuple(each.step for each in steps),
        template=tuple(each.step for each in template),
        advice=advice,
        extends=extends,
        others=top.others(),
    )


def _type_of(top: Table) -> FormulaType:
    told = top.text("type") or FormulaType.WORKFLOW
    if told not in list(FormulaType):
        raise top.error("type", f"{told!r} is no type of formula; there are {', '.join(FormulaType)}")
    return FormulaType(told)


def _name_of(top: Table) -> str:
    name, alias = top.text("formula"), top.text("name")
    if name and alias and name != alias:
        raise top.error("name", f"it is {alias!r}, and formula is {name!r}: give one name")
    if not name and not alias:
        raise top.error("formula", "the name is missing")
    return name or alias


def _version_of(top: Table) -> str:
    version = top.any("version")
    if isinstance(version, int) and not isinstance(version, bool) and 0 < version < _WHOLE_VERSIONS:
        version = f"{version}.0.0"
    if version is None:
        raise top.error("version", 'it is missing; begin with version = "1.0.0"')
    if not isinstance(version, str) or precedence(version) is None:
        raise top.error("version", "it must be a semantic version, as in 1.4.0")
    return version


def _variables(table: Table) -> tuple[Variable, ...]:
    return tuple(_variable(table, name) for name in table.names())


def _variable(table: Table, name: str) -> Variable:
    plain = _as_text(table.any(name))
    if plain is not None:
        return Variable(name, default=plain)
    given = table.table(name)
    default, required = given.any("default"), given.flag("required")
    told = _as_text(default)
    if default is not None and told is None:
        raise given.error("default", "it must be text, a number, true or false")
    if required and told is not None:
        raise given.error("default", "what is required has no default")
    return Variable(
        name, given.text("description"), told, required, given.texts("enum"), given.text("pattern"), given.text("type")
    )


def _as_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    # Python writes no whole numbers of any length; such a one is no default that anybody means.
    is_plain = isinstance(value, str | float) or (isinstance(value, int) and abs(value) < 2**63)
    return str(value) if is_plain else None


# -- Steps -------------------------------------------------------------------------------------------------------
class _Placed(NamedTuple):
    """A step with its table and the steps below it, for errors that name where they stand."""

    step: Step
    table: Table
    below: tuple["_Placed", ...]


def _steps(tables: Sequence[Table], depth: int = 0) -> tuple[_Placed, ...]:
    if len(tables) > FORMULA_STEPS:
        raise tables[0].error("", f"a formula has at most {FORMULA_STEPS} steps")
    return tuple(_step(table, depth) for table in tables)


def _step(table: Table, depth: int = 0, *, titled: bool = True) -> _Placed:
    children = table.tables("children")
    if children and depth == NESTING:
        raise table.error("children", f"steps stand at most {NESTING} deep")
    below = _steps(children, depth + 1)
    needs = (*table.texts("needs"), *table.texts("depends_on"))
    step = Step(
        id=table.text("id"),
        title=table.text("title"),
        description=table.text("description"),
        notes=table.text("notes"),
        type=table.text("type"),
        priority=table.number("priority"),
        labels=table.texts("labels"),
        needs=tuple(dict.fromkeys(needs)),
        assignee=table.text("assignee"),
        condition=table.text("condition"),
        waits_for=table.text("waits_for"),
        children=tuple(placed.step for placed in below),
        others=table.others(),
    )
    if not step.id:
        raise table.error("id", "every step has an id")
    if titled and not step.title and "expand" not in table:
        raise table.error("title", f"step {step.id} has no title")
    if step.priority is not None and not 0 <= step.priority <= LOWEST_PRIORITY:
        raise table.error("priority", f"it must be 0 to {LOWEST_PRIORITY}")
    return _Placed(step, table, below)


def _advice(table: Table) -> Advice:
    target = table.text("target")
    if not target:
        raise table.error("target", "advice says which steps it is for")
    around = table.table("around")
    before = [*_advised(table, "before"), *_advised(around, "before")]
    after = [*_advised(around, "after"), *_advised(table, "after")]
    return Advice(target, tuple(before), tuple(after))


def _advised(table: Table, name: str) -> Iterator[Step]:
    """The steps of advice: one table, or an array of them."""
    one = isinstance(table.any(name), dict)
    for each in [table.table(name)] if one else table.tables(name):
        yield _step(each, titled=False).step


def _flat(steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        yield from _flat(step.children)


def _all_placed(steps: Iterable[_Placed]) -> Iterator[_Placed]:
    for placed in steps:
        yield placed
        yield from _all_placed(placed.below)


def _check_steps(steps: Sequence[_Placed], *, are_all_here: bool) -> None:
    """Refuse ids that stand twice, needs that nothing meets, and steps that wait for themselves."""
    by_id: dict[str, _Placed] = {}
    for placed in _all_placed(steps):
        if placed.step.id in by_id:
            raise placed.table.error("id", f"there is a step {placed.step.id} before this one")
        by_id[placed.step.id] = placed
    if len(by_id) > FORMULA_STEPS:
        raise DocumentError(f"a formula has at most {FORMULA_STEPS} steps")
    for placed in by_id.values():
        _check_waiting(placed)
        missing = [need for need in _awaited(placed.step) if need not in by_id]
        if missing and are_all_here:
            raise placed.table.error("needs", f"{placed.step.id} needs {missing[0]}, and there is no such step")
    _refuse_cycle(by_id)


def _check_waiting(placed: _Placed) -> None:
    told = placed.step.waits_for
    if told and told not in {"all-children", "any-children"} and not CHILDREN_OF.fullmatch(told):
        raise placed.table.error("waits_for", "it must be all-children, any-children or children-of(ID)")


def _awaited(step: Step) -> list[str]:
    """The ids of steps that a step waits for."""
    children_of = CHILDREN_OF.fullmatch(step.waits_for)
    return [*step.needs, *([children_of[1]] if children_of else [])]


def _refuse_cycle(by_id: Mapping[str, _Placed]) -> None:
    done: set[str] = set()
    for start in by_id:
        path: dict[str, Iterator[str]] = {}
        step: str | None = start
        while step is not None or path:
            if step is None:  # nothing more to wait for: back to the one that waits for it
                finished, _ = path.popitem()
                done.add(finished)
            elif step in path:
                way = [*path, step][list(path).index(step) :]
                raise by_id[start].table.error("needs", f"steps wait for one another: {' -> '.join(way)}")
            elif step in by_id and step not in done:
                path[step] = iter(by_id[step].step.needs)
            step = next(next(reversed(path.values())), None) if path else None


# -- Versions ----------------------------------------------------------------------------------------------------
def bumped(version: str, part: str) -> str:
    """The version after one, with `part` (`major`, `minor` or `patch`) counted up.

    A pre-release goes on to its release where that counts the part up already.
    """
    parts = precedence(version)
    if parts is None or part not in BUMPS:
        raise ValueError(f"{version!r} has no next {part}")
    major, minor, patch, is_release, _ = parts
    before_release = {"major": not (minor or patch), "minor": not patch, "patch": True}[part] and not is_release
    if before_release:
        return f"{major}.{minor}.{patch}"
    return {"major": f"{major + 1}.0.0", "minor": f"{major}.{minor + 1}.0", "patch": f"{major}.{minor}.{patch + 1}"}[
        part
    ]


def with_version(text: str, version: str) -> str:
    """A formula's text with another version and nothing else changed.

    Raises:
        DocumentError: the line that holds its version can't be told for certain.
    """
    meant = read_toml(text) | {"version": version}
    for count, line in enumerate(_VERSION_LINE.finditer(text)):
        end = line.start(1) + len(line[1].rstrip(" \t"))
        changed = f'{text[: line.start(1)]}"{version}"{text[end:]}'
        try:
            if read_toml(changed) == meant:
                return changed
        except DocumentError:
            continue  # the line stands in a text, or holds something else: not this one
        if count == _VERSION_LINES:
            break
    raise DocumentError(f"the line that holds the version can't be told; write version = {version!r} yourself")
