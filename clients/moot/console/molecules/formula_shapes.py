"""A formula as `bd formula show` and `bd cook` write it in JSON: with its variables open, or with values in them."""

from collections.abc import Mapping
from typing import Any

from moot_protocol.documents.formula import Advice, Formula, Step, Variable
from moot_protocol.documents.molecule import Cooked, CookedStep


def formula_document(formula: Formula) -> dict[str, Any]:
    """A formula with its variables left open."""
    document: dict[str, Any] = {
        "formula": formula.name,
        "description": formula.description,
        "version": formula.version,
        "type": str(formula.type),
        "vars": {variable.name: _variable(variable) for variable in formula.variables},
        "steps": list(map(_step, formula.steps)),
    }
    more = {"extends": list(formula.extends), "template": list(map(_step, formula.template))}
    return document | _given(more | {"advice": list(map(_advice, formula.advice))})


def cooked_document(cooked: Cooked) -> dict[str, Any]:
    """A formula with all of its values in it; steps below others name them as `parent`."""
    return {
        "formula": cooked.name,
        "description": cooked.description,
        "version": cooked.version,
        "type": "workflow",
        "values": dict(cooked.values),
        "steps": list(map(_cooked_step, cooked.steps)),
    }


def counted(formula: Formula) -> dict[str, Any]:
    """What a list says of a formula beside its name: `{"type", "description", "steps", "vars"}`."""
    first_line = formula.description.strip().partition("\n")[0]
    return {
        "type": str(formula.type),
        "description": first_line,
        "steps": sum(1 for _ in formula.all_steps()),
        "vars": len(formula.variables),
    }


def _variable(variable: Variable) -> dict[str, Any]:
    told = {"description": variable.description, "required": variable.required, "enum": list(variable.enum)}
    told |= {"pattern": variable.pattern, "type": variable.type}
    default = {} if variable.default is None else {"default": variable.default}
    return default | _given(told)


def _step(step: Step) -> dict[str, Any]:
    told = _work(step) | {"condition": step.condition, "waits_for": step.waits_for}
    return {"id": step.id, "title": step.title} | _given(told | {"children": list(map(_step, step.children))})


def _advice(advice: Advice) -> dict[str, Any]:
    sides = {"before": list(map(_step, advice.before)), "after": list(map(_step, advice.after))}
    return {"target": advice.target} | _given(sides)


def _cooked_step(step: CookedStep) -> dict[str, Any]:
    awaited = [{"step": target, "gate": gate} for target, gate in step.waits_for]
    told = _work(step) | {"parent": step.parent, "waits_for": awaited}
    return {"id": step.id, "title": step.title} | _given(told)


def _work(step: Step | CookedStep) -> dict[str, Any]:
    return {
        "description": step.description,
        "notes": step.notes,
        "type": step.type,
        "priority": step.priority,
        "labels": list(step.labels),
        "needs": list(step.needs),
        "assignee": step.assignee,
    }


def _given(told: Mapping[str, Any]) -> dict[str, Any]:
    """What says something; a priority of 0 does."""
    return {name: value for name, value in told.items() if value or (name == "priority" and value is not None)}
