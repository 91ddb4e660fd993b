"""Scripts: several mutations, all or nothing."""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.limits import SCRIPT_STEPS
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.gates import AWAITING_ISSUES
from moot_protocol.requests.issues import Script
from moot_protocol.requests.scripts import STEPS

_ID_KEYS: Final = frozenset({"id", "to", "parent"})
_AWAITED: Final = frozenset({"await_id"})
"""An id, too, in a gate that waits for an issue."""
_EDGE_KEYS: Final = frozenset({"edge", "edges"})
_ID_LIST_KEYS: Final = frozenset({"blocks"})

Carry = Callable[[Mutation[Any]], Any]


def run_script(request: Script, carry_out: Carry) -> list[Any]:
    """Carry out the steps in order; whoever calls takes everything back when one is refused.

    Raises:
        MootError: the failing step's, its message naming the step.
    """
    if len(request.steps) > SCRIPT_STEPS:
        raise RefusedError(f"a script of {len(request.steps)} steps; at most {SCRIPT_STEPS}", code=Code.LIMIT)
    answers: list[Any] = []
    for number, step in enumerate(request.steps, start=1):
        try:
            answers.append(carry_out(_decode(step, request.actor, answers)))
        except MootError as error:
            raise RefusedError(
                _named(step, number, error.message),
                code=error.code,
                hint=error.hint,
                retryable=error.retryable,
                discreet=_named(step, number, error.discreet) if error.discreet else "",
            ) from error
    return answers


def _named(step: dict[str, Any], number: int, message: str) -> str:
    """What was wrong with a step: its label before it, unless that is the step's id, which stands in it anyway."""
    label = step.get("label") or f"step {number}"
    params = step.get("params")
    is_id = isinstance(label, str) and isinstance(params, dict) and params.get("id") == label
    names_it = is_id and re.search(rf"(?<![\w.-]){re.escape(label)}(?![\w-]|\.\w)", message)
    return message if names_it else f"{label}: {message}"


def _decode(step: dict[str, Any], actor: str, answers: list[Any]) -> Mutation[Any]:
    method = step.get("method")
    if not isinstance(method, str) or method not in STEPS:
        raise RefusedError(f"{method!r} can't stand in a script", hint=f"one of {', '.join(sorted(STEPS))}")
    params = step.get("params", {})
    if isinstance(params, dict):
        if "dry_run" in params:
            raise RefusedError(f"{method}: a script is tried out as a whole")
        params = _with_ids(params, answers)
    try:
        mutation: Mutation[Any] = msgspec.convert({**params, "actor": actor}, STEPS[method])
    except (msgspec.ValidationError, TypeError) as error:
        raise RefusedError(f"{method}: {error}") from error
    return mutation


def _with_ids(params: Any, answers: list[Any]) -> Any:
    """Put the ids of earlier answers in the place of `$1`, `$2`, … wherever an id stands, in edges too."""
    if isinstance(params, list | tuple):
        return [_with_ids(each, answers) for each in params]
    if not isinstance(params, dict):
        return params
    id_keys = _ID_KEYS | _AWAITED if params.get("await_type") in AWAITING_ISSUES else _ID_KEYS
    filled: dict[str, Any] = {}
    for key, value in params.items():
        if key in id_keys and isinstance(value, str):
            filled[key] = _id_of(value, answers)
        elif key in _ID_LIST_KEYS and isinstance(value, list | tuple):
            filled[key] = [_id_of(each, answers) if isinstance(each, str) else each for each in value]
        else:
            filled[key] = _with_ids(value, answers) if key in _EDGE_KEYS else value
    return filled


def _id_of(typed: str, answers: list[Any]) -> Any:
    if not (typed.startswith("$") and typed[1:].isdecimal()):
        return typed
    number = int(typed[1:])
    if not 1 <= number <= len(answers) or "id" not in answers[number - 1]:
        raise RefusedError(f"{typed} names no issue that an earlier step made")
    return answers[number - 1]["id"]
