"""Scripts: several mutations, all or nothing."""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.methods import REQUESTS
from moot_protocol.request_base import Mutation
from moot_protocol.requests import Script

_ALLOWED: Final = frozenset(
    {
        "create",
        "update",
        "close",
        "reopen",
        "delete",
        "undelete",
        "add_edge",
        "remove_edge",
        "add_comment",
        "resolve",
        "remember",
        "forget",
        "set_setting",
        "rename",
        "unclaim",
        "await",
        "write_handoff",
    }
)
_ID_KEYS: Final = frozenset({"id", "to", "parent"})
_EDGE_KEYS: Final = frozenset({"edge", "edges"})
STEPS: Final = 1000
"""Steps of one script: they all hold up other writers."""

Carry = Callable[[Mutation[Any]], Any]


def run_script(request: Script, carry_out: Carry) -> list[Any]:
    """Carry out the steps in order; whoever calls takes everything back when one is refused.

    Raises:
        MootError: the failing step's, its message naming the step.
    """
    if len(request.steps) > STEPS:
        raise RefusedError(f"a script of {len(request.steps)} steps; at most {STEPS}", code=Code.LIMIT)
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
    if method not in _ALLOWED:
        raise RefusedError(f"{method!r} can't stand in a script", hint=f"one of {', '.join(sorted(_ALLOWED))}")
    params = step.get("params", {})
    if isinstance(params, dict):
        if "dry_run" in params:
            raise RefusedError(f"{method}: a script is tried out as a whole")
        params = _with_ids(params, answers)
    try:
        mutation: Any = msgspec.convert({**params, "actor": actor}, REQUESTS[method])
    except (msgspec.ValidationError, TypeError) as error:
        raise RefusedError(f"{method}: {error}") from error
    return mutation  # type: ignore[no-any-return]  # every allowed method is a mutation


def _with_ids(params: Any, answers: list[Any]) -> Any:
    """Put the ids of earlier answers in the place of `$1`, `$2`, … wherever an id stands, in edges too."""
    if isinstance(params, list | tuple):
        return [_with_ids(each, answers) for each in params]
    if not isinstance(params, dict):
        return params
    filled: dict[str, Any] = {}
    for key, value in params.items():
        if key in _ID_KEYS and isinstance(value, str):
            filled[key] = _id_of(value, answers)
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
