"""Requests about the access rules of this machine: what they are, what they decide, and bringing in others."""

from typing import Any

from moot_protocol.access.file import idle_rules, read_rules, rules_from_yaml, write_rules
from moot_protocol.access.rules import EVERYTHING, RESTRICTION, Rules, decide
from moot_protocol.access.table import EVERY_PERMISSION
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.requests.access import CheckAccess, ImportAccess, ShowAccess, ValidateAccess
from mootd.edges.access_file import AccessFile
from mootd.engine.unit import Unit


def show_access(file: AccessFile, request: ShowAccess) -> dict[str, Any]:
    """The rules, or why there are none."""
    del request
    problem = ""
    try:
        rules = file.rules()
    except MootError as error:
        rules, problem = None, error.message
    return {
        "path": str(file.path),
        "present": rules is not None or bool(problem),
        "audit": str(rules.audit) if rules else "",
        "problem": problem,
        "idle": _idle(rules) if rules else [],
        "users": _users(rules) if rules else [],
    }


def _users(rules: Rules) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "role": str(user.role),
            "permissions": None if user.permissions is None else list(user.permissions),
            "restrictions": [RESTRICTION + each for each in user.restrictions],
            "uids": list(user.uids),
        }
        for name, user in sorted(rules.users.items())
    ]


def _idle(rules: Rules) -> list[dict[str, Any]]:
    return [{"user": user, "rule": rule} for user, rule in idle_rules(rules, EVERY_PERMISSION)]


def check_access(file: AccessFile, request: CheckAccess) -> dict[str, Any]:
    """What the rules decide."""
    if request.permission not in EVERY_PERMISSION:
        raise RefusedError(
            f"there is no permission {request.permission}", hint=f"there are {', '.join(EVERY_PERMISSION)}"
        )
    rules = file.rules()
    if rules is None:
        return {"allowed": True, "rule": "there are no rules on this machine", "bound": False}
    decision = decide(rules, request.subject, request.permission, request.resource or EVERYTHING)
    return {"allowed": decision.allowed, "rule": decision.rule, "bound": True}


def _read(text: str, form: str) -> Rules:
    if form not in {"yaml", "toml"}:
        raise RefusedError(f"{form!r} is no form of rules; there are yaml and toml")
    return rules_from_yaml(text) if form == "yaml" else read_rules(text)


def validate_access(file: AccessFile, request: ValidateAccess) -> dict[str, Any]:
    """Whether a text gives rules."""
    del file
    try:
        rules = _read(request.text, request.form)
    except MootError as error:
        return {"valid": False, "problem": error.message, "users": 0, "idle": []}
    return {"valid": True, "problem": "", "users": len(rules.users), "idle": _idle(rules)}


def import_access(file: AccessFile, unit: Unit, request: ImportAccess) -> dict[str, Any]:
    """Write the rules anew. The file is written before the unit commits: harmless when it is done twice."""
    rules = _read(request.text, request.form)
    replaced = file.path.exists()
    if replaced and not request.replace:
        raise RefusedError(
            f"there are rules already in {file.path}", code=Code.EXISTS, hint="--replace puts these in their place"
        )
    text = write_rules(rules)
    if not request.dry_run:
        file.write(text)
    del unit
    return {
        "path": str(file.path), "users": len(rules.users), "replaced": replaced, "text": text, "idle": _idle(rules)
    }  # fmt: skip
