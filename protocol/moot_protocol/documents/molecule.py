"""Cooking: from a formula and values for its variables to the steps that are to become issues.

Nothing is passed over: a formula that says something this doesn't know is refused by name, since work that is poured
without it would be other work than was described.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from moot_protocol.documents.formula import CHILDREN_OF, Formula, FormulaType, Step, Variable
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import FORMULA_MATCHED_CHARS, FORMULA_PATTERN_CHARS, FORMULA_VALUE_CHARS
from moot_protocol.text.regex import searching

PLACE: Final = re.compile(r"\{\{([^{}]*+)\}\}")
"""Where a text names a variable, whose name is the group without the spaces around it."""
_CONDITION: Final = re.compile(r"(!?)\s*+\{\{([^{}]*+)\}\}\s*+(?:(==|!=)\s*+(.*+))?")
"""A condition without the spaces around it, in linear time: nothing here can take what stands before or after it."""
_FALSE: Final = frozenset({"", "false", "0", "no", "off"})
_WITHOUT_MEANING: Final = frozenset({"author", "tags", "license", "homepage", "phase"})
"""Further fields of a formula that change nothing about its steps."""


class CookedStep(NamedTuple):
    """One step as its issue is to be."""

    id: str
    title: str
    description: str
    notes: str
    type: str
    priority: int | None
    labels: tuple[str, ...]
    assignee: str
    parent: str
    """The id of the step above; empty for none."""
    needs: tuple[str, ...]
    waits_for: tuple[tuple[str, str], ...]
    """(step, gate): steps whose children are waited for, `all-children` or `any-children`."""


class Cooked(NamedTuple):
    """A formula with all of its values in it."""

    name: str
    version: str
    description: str
    values: Mapping[str, str]
    steps: tuple[CookedStep, ...]
    """Those above before those below, else in the formula's order."""


def cook(formula: Formula, given: Mapping[str, str]) -> Cooked:
    """Put values into a formula.

    Args:
        formula: the formula.
        given: variable → value.

    Raises:
        RefusedError: `usage`: values are missing, unknown or don't fit; `invalid`: the formula can't be poured.
    """
    check_pourable(formula)
    values = _values(formula, given)
    steps = tuple(_cooked(formula.steps, "", values))
    left = {step.id for step in steps}
    kept = tuple(
        step._replace(
            needs=tuple(need for need in step.needs if need in left),
            waits_for=tuple(each for each in step.waits_for if each[0] in left),
        )
        for step in steps
    )
    if not kept:
        raise RefusedError(f"with these values formula {formula.name} has no steps", code=Code.USAGE)
    return Cooked(formula.name, formula.version, _filled(formula.description, values), values, kept)


def check_pourable(formula: Formula) -> None:
    """Check that a formula says nothing that would be passed over, whatever values it gets.

    Raises:
        RefusedError: `invalid`: it does, or is none that becomes issues.
    """
    if formula.type is not FormulaType.WORKFLOW:
        raise RefusedError(f"formula {formula.name} is of type {formula.type}: only a workflow becomes issues")
    unknown = sorted(formula.others.keys() - _WITHOUT_MEANING)
    unknown += ["extends"] if formula.extends else []
    unknown += [f"{name} of step {step.id}" for step in formula.all_steps() for name in sorted(step.others)]
    if unknown:
        raise RefusedError(
            f"formula {formula.name} uses what can't be poured here: {', '.join(unknown[:5])}",
            hint="write the steps out",
        )


# -- Values --------------------------------------------------------------------------------------------------------
def _values(formula: Formula, given: Mapping[str, str]) -> dict[str, str]:
    known = {variable.name: variable for variable in formula.variables}
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        names = ", ".join(known) or "none"
        raise RefusedError(
            f"formula {formula.name} has no variable {unknown[0]}", code=Code.USAGE, hint=f"there are: {names}"
        )
    missing = [name for name, each in known.items() if name not in given and each.default is None and each.required]
    if missing:
        raise RefusedError(
            f"no value for {', '.join(missing)}", code=Code.USAGE, hint=" ".join(f"--var {name}=…" for name in missing)
        )
    return {name: _value(variable, given.get(name, variable.default or "")) for name, variable in known.items()}


def _value(variable: Variable, value: str) -> str:
    problem = ""
    if len(value) > FORMULA_VALUE_CHARS:
        problem = f"it has more than {FORMULA_VALUE_CHARS} characters"
    elif variable.enum and value not in variable.enum:
        problem = f"it must be one of {', '.join(variable.enum)}"
    elif variable.type == "int" and not re.fullmatch(r"-?\d{1,18}", value, re.ASCII):
        problem = "it must be a whole number"
    elif variable.type == "bool" and value not in {"true", "false"}:
        problem = "it must be true or false"
    elif variable.pattern and not _matches(variable, value):
        problem = f"it must be like {variable.pattern}"
    if problem:
        raise RefusedError(f"{variable.name} can't be {value[:80]!r}: {problem}", code=Code.USAGE)
    return value


def _matches(variable: Variable, value: str) -> bool:
    """Whether a value is wholly as its variable's pattern wants it. Others wrote that: it is matched in linear time."""
    if len(variable.pattern) > FORMULA_PATTERN_CHARS or len(value) > FORMULA_MATCHED_CHARS:
        raise RefusedError(f"the pattern of {variable.name} is too much to be tried", hint="write a simpler one")
    try:
        searching(variable.pattern)  # by itself: what closes our group is no pattern
        return searching(f"^({variable.pattern})$")(value)
    except RefusedError as error:
        raise RefusedError(f"the pattern of {variable.name} can't be tried: {error.message}") from error


def _filled(text: str, values: Mapping[str, str]) -> str:
    def value(place: re.Match[str]) -> str:
        name = place[1].strip()
        if name not in values:
            raise RefusedError(f"there is no variable {name!r}, which a text names")
        return values[name]

    return PLACE.sub(value, text)


# -- Steps ---------------------------------------------------------------------------------------------------------
def _cooked(steps: Iterable[Step], parent: str, values: Mapping[str, str]) -> Iterator[CookedStep]:
    for step in steps:
        if not _holds(step, values):
            continue
        waits_for = tuple(_waits_for(step))
        awaited = {target for target, _ in waits_for}
        yield CookedStep(
            id=step.id,
            title=_filled(step.title, values),
            description=_filled(step.description, values),
            notes=_filled(step.notes, values),
            type=_filled(step.type, values),
            priority=step.priority,
            labels=tuple(_filled(label, values) for label in step.labels),
            assignee=_filled(step.assignee, values),
            parent=parent,
            needs=tuple(need for need in step.needs if need not in awaited),
            waits_for=waits_for,
        )
        yield from _cooked(step.children, step.id, values)


def _holds(step: Step, values: Mapping[str, str]) -> bool:
    if not step.condition.strip():
        return True
    parts = _CONDITION.fullmatch(step.condition.strip())
    if parts is None or (parts[1] and parts[3]):
        raise RefusedError(
            f"the condition of step {step.id} is none: {step.condition!r}",
            hint="write {{name}}, !{{name}}, {{name}} == value or {{name}} != value",
        )
    name = parts[2].strip()
    if name not in values:
        raise RefusedError(f"the condition of step {step.id} names {name!r}, and there is no such variable")
    value = values[name]
    if parts[3]:
        wanted = parts[4].strip("\"'")
        return bool((value == wanted) == (parts[3] == "=="))
    return bool((value.lower() not in _FALSE) != bool(parts[1]))


def _waits_for(step: Step) -> Iterator[tuple[str, str]]:
    """The steps whose children a step waits for: the one named, else those it needs."""
    named = CHILDREN_OF.fullmatch(step.waits_for)
    if named:
        yield named[1], "all-children"
    elif step.waits_for:
        if not step.needs:
            raise RefusedError(f"step {step.id} waits for {step.waits_for} of no step", hint="name the step in needs")
        for need in step.needs:
            yield need, step.waits_for
