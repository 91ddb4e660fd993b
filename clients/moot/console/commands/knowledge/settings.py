"""Settings of a project: config get|set|set-many|unset|list|show|validate|drift|apply, statuses and types.

They stand on the project's plane, so that every machine has the same; with --town on the town's ledger, for all of its
projects that say nothing else.
"""

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any, Final

from moot.console import documents, exits
from moot.console.command import Command, Context, no_arguments
from moot.console.context import answer, answer_list, carry_out, need_project, note, note_origins
from moot.console.lines.confirm import UNCHANGED, confirmed, is_unchanged, nothing_to_do
from moot.console.lines.kept import others_of
from moot.console.notices.written_apart import note_conflicts, note_others
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.sections import SECTIONS
from moot_protocol.issues.settings import KNOWN, KV, PREFIX_KEYS, custom_statuses, custom_types, problem_of
from moot_protocol.requests.memories import SetSetting, Settings

STATUSES: Final = {
    "open": ("active", "Available to work on"),
    "in_progress": ("wip", "Somebody works on it"),
    "blocked": ("wip", "Marked as blocked"),
    "deferred": ("frozen", "Put off until later"),
    "closed": ("done", "Done"),
    "pinned": ("frozen", "Stays open, is not worked on"),
    "hooked": ("wip", "Attached to an agent's hook"),
}
"""Status → category and what it means."""
TYPES: Final = {
    "task": "A piece of work",
    "bug": "Something is wrong",
    "feature": "Something new",
    "chore": "Upkeep",
    "epic": "Work with parts",
    "decision": "A decision and its reasons",
    "spike": "Finding out",
    "story": "What somebody wants to do",
    "milestone": "A point to reach",
}
"""Issue type → what it means."""


def read_settings(context: Context, prefix: str = "") -> list[dict[str, Any]]:
    """The settings that hold in the workspace's project, those of the key-value store left out."""
    project = "" if getattr(context.arguments, "town", False) else need_project(context)
    found = context.api.call(Settings(project=project, plane=context.plane, prefix=prefix))
    return [each for each in found if not each["key"].startswith(KV)]


def values_of(found: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Settings as key → value."""
    return {str(each["key"]): str(each["value"]) for each in found}


def _town_argument(parser: ArgumentParser) -> None:
    parser.add_argument("--town", action="store_true", help="of the whole town, not of this project")


def _key_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", help="the setting")
    _town_argument(parser)


def _writing_arguments(parser: ArgumentParser) -> None:
    _town_argument(parser)
    parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")
    parser.add_argument("--force-git-tracked", action="store_true", help="keep it even if it looks like a secret")


def _change(context: Context, key: str, value: str | None) -> SetSetting:
    given = context.arguments
    return SetSetting(
        actor=context.actor,
        dry_run=given.dry_run,
        project="" if given.town else need_project(context),
        plane="" if given.town else context.plane,
        key=key,
        value=value,
        secrets=getattr(given, "force_git_tracked", False),
    )


# -- get, set, unset ---------------------------------------------------------------------------------------------
def _get(context: Context) -> int:
    key = context.arguments.key
    found = {} if key in PREFIX_KEYS else _set_to(context, key)
    value = need_project(context) if key in PREFIX_KEYS else str(found.get("value", ""))
    if context.json:
        documents.write(context, {"key": key, "value": value} | _others(found))
    else:
        context.terminal.out(f"{neutralise(value) if value else f'{neutralise(key)} (not set)'}\n")
    return exits.OK


def _set_to(context: Context, key: str) -> Mapping[str, Any]:
    """A setting, and on standard error which other town set it, and to what else it was set apart; empty for none."""
    found = [each for each in read_settings(context, key) if each["key"] == key]
    note_origins(context, found)
    for each in found:
        note_others(context, each)
    return next(iter(found), {})


def _others(setting: Mapping[str, Any]) -> dict[str, Any]:
    """For a document: what else a setting was set to apart; nothing where there is no conflict."""
    others = others_of(setting) if setting else []
    return {"others": others} if others else {}


def _set_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", help="the setting")
    parser.add_argument("value", metavar="VALUE", help="its value; empty takes it away")
    _writing_arguments(parser)


def _set(context: Context) -> int:
    key, value = context.arguments.key, context.arguments.value
    if key in PREFIX_KEYS:
        _keep_prefix(context, value)
        changed: dict[str, Any] = {UNCHANGED: True}
    else:
        changed = context.api.call(_change(context, key, value))
    answer(context, *_set_told(key, value, changed))
    if key in KNOWN and not KNOWN[key].is_read:
        note(context, f"{key} is kept for programs that read it: Moot does nothing by it")
    return exits.OK


def _set_told(key: str, value: str, changed: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What is answered about a setting that was set: the document, and the line."""
    document, told = {"key": key, "value": value}, f"{neutralise(key)} = {neutralise(value)}"
    if is_unchanged(changed):
        return document | {UNCHANGED: True}, [nothing_to_do(f"{told} already")]
    return document, [f"Set {told}"]


def _keep_prefix(context: Context, value: str) -> None:
    """Refuse another prefix than the project has: it isn't a setting, but what its ids begin with.

    Raises:
        RefusedError: `conflict`.
    """
    project = need_project(context)
    if value.rstrip("-") != project:
        raise RefusedError(
            f"this workspace is the project {project}", code=Code.CONFLICT, hint=f"`moot rename-prefix {value}` renames"
        )


def _set_many_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pairs", nargs="+", metavar="KEY=VALUE", help="settings: all of them or none")
    _writing_arguments(parser)


def _set_many(context: Context) -> int:
    pairs = {}
    for pair in context.arguments.pairs:
        key, divider, value = pair.partition("=")
        if not (key and divider):
            raise RefusedError(f"{pair!r} is no setting", code=Code.USAGE, hint="write KEY=VALUE")
        pairs[key] = value
    changed = carry_out(context, [(key, _change(context, key, value)) for key, value in pairs.items()])
    found = [_set_told(key, value, each) for (key, value), each in zip(pairs.items(), changed, strict=True)]
    answer(context, [document for document, _ in found], [line for _, lines in found for line in lines])
    return exits.OK


def _unset_arguments(parser: ArgumentParser) -> None:
    _key_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")


def _unset(context: Context) -> int:
    key = context.arguments.key
    changed = context.api.call(_change(context, key, None))
    if is_unchanged(changed):
        of = "the town" if context.arguments.town else "this project"
        answer(context, {"key": key, UNCHANGED: True}, [nothing_to_do(f"{neutralise(key)} isn't set for {of}")])
    else:
        answer(context, {"key": key}, [f"Unset {neutralise(key)}"])
    return exits.OK


# -- list, show, validate ----------------------------------------------------------------------------------------
def _list(context: Context) -> int:
    found = read_settings(context)
    note_origins(context, found)
    note_conflicts(context, found)
    told = [f"  {neutralise(each['key'])} = {neutralise(each['value'])}" for each in found]
    answer_list(context, values_of(found), lambda _: ["Configuration:", *told], "No configuration set")
    return exits.OK


def _show_arguments(parser: ArgumentParser) -> None:
    _town_argument(parser)
    parser.add_argument("--source", choices=("project", "town"), help="only what is set for this")


def _show(context: Context) -> int:
    wanted = context.arguments.source
    found = [each for each in read_settings(context) if wanted in {None, each["of"]}]
    note_origins(context, found)
    note_conflicts(context, found)
    document = [{"key": each["key"], "value": each["value"], "source": each["of"]} | _others(each) for each in found]
    told = [f"{neutralise(each['key'])} = {neutralise(each['value'])}  ({each['source']})" for each in document]
    answer(context, document, told or ["No configuration set"])
    return exits.OK


def _validate(context: Context) -> int:
    found = read_settings(context)
    problems = {str(each["key"]): problem_of(each["key"], each["value"]) for each in found}
    issues = [f"{key}: {problem}" for key, problem in problems.items() if problem]
    issues += [
        f"{each['key']}: two people set it apart; set it again to settle that" for each in found if each["conflict"]
    ]
    told = [f"  - {neutralise(each)}" for each in issues] or [confirmed(context, "Configuration is valid")]
    answer(context, {"valid": not issues, "issues": issues}, told)
    return exits.FAILED if issues else exits.OK


# -- drift, apply ------------------------------------------------------------------------------------------------
def _drift(context: Context) -> int:
    """What the settings ask for beyond the log, which is nothing; a setting that can't be is told."""
    found = [{"check": "settings", "status": "ok", "message": "nothing outside the log follows from a setting"}]
    for each in read_settings(context):
        problem = problem_of(each["key"], each["value"])
        if problem:
            found.append({"check": str(each["key"]), "status": "drift", "message": problem})
    told = (f"  {each['status']}: {neutralise(each['check'])}: {neutralise(each['message'])}" for each in found)
    answer(context, found, told)
    return exits.FAILED if len(found) > 1 else exits.OK


def _apply_arguments(parser: ArgumentParser) -> None:
    _town_argument(parser)
    parser.add_argument("--dry-run", action="store_true", help="accepted for bd's sake: nothing is done anyway")


# -- statuses, types ---------------------------------------------------------------------------------------------
def _own(context: Context, key: str) -> str:
    """A setting of the project; empty where there is none or no project, or where it has a value it can't have."""
    if not context.project:
        return ""
    found = context.api.call(Settings(project=context.project, plane=context.plane, prefix=key))
    value = values_of(found).get(key, "")
    return "" if problem_of(key, value) else value


def _statuses(context: Context) -> int:
    built_in = [
        {"name": name, "category": category, "description": about} for name, (category, about) in STATUSES.items()
    ]
    custom = [
        {"name": each.name, "category": each.category or "unspecified"}
        for each in custom_statuses(_own(context, "status.custom"))
    ]
    document = {"built_in_statuses": built_in, "custom_statuses": custom}
    rows = [(each["name"], each["category"], each.get("description", "your own")) for each in (*built_in, *custom)]
    answer(context, document, (f"  {name:<12} {category:<12} {about}" for name, category, about in rows))
    return exits.OK


def _types_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--sections", action="store_true", help="with the sections that descriptions should have")


def _types(context: Context) -> int:
    custom = custom_types(_own(context, "types.custom"))
    core: list[dict[str, Any]] = [{"name": name, "description": about} for name, about in TYPES.items()]
    if context.arguments.sections:
        core = [each | {"sections": list(SECTIONS.get(each["name"], ()))} for each in core]
    rows = [*TYPES.items(), *((name, "your own") for name in custom)]
    told = [f"  {name:<12} {about}" for name, about in rows]
    if context.arguments.sections:
        told += [f"  {name}: {', '.join(headings)}" for name, headings in SECTIONS.items()]
    answer(context, {"core_types": core, "custom_types": custom}, told)
    return exits.OK


COMMANDS: Final = (
    Command("config get", "A setting's value", _key_arguments, _get, examples=("moot config get status.custom",)),
    Command(
        "config set",
        "Set a setting for everybody in the project",
        _set_arguments,
        _set,
        examples=('moot config set status.custom "review:active,parked:frozen"', "moot config set custom.team blue"),
    ),
    Command(
        "config set-many",
        "Set several settings at once, all or none",
        _set_many_arguments,
        _set_many,
        examples=("moot config set-many custom.team=blue custom.room=7  # both or neither",),
    ),
    Command(
        "config unset",
        "Take a setting away",
        _unset_arguments,
        _unset,
        examples=("moot config unset custom.team", "moot config unset custom.team --town  # the town's own value"),
    ),
    Command("config list", "All settings", _town_argument, _list, examples=("moot config list --json",)),
    Command(
        "config show",
        "All settings, and whose they are",
        _show_arguments,
        _show,
        examples=("moot config show", "moot config show --source project  # not the town's"),
    ),
    Command(
        "config drift",
        "Whether anything differs from what the settings ask for",
        _town_argument,
        _drift,
        examples=("moot config drift", "moot config drift --json"),
    ),
    Command(
        "config apply",
        "The same: there is nothing to be applied",
        _apply_arguments,
        _drift,
        examples=("moot config apply",),
    ),
    Command(
        "config validate",
        "Whether every setting has a value it can have",
        _town_argument,
        _validate,
        examples=("moot config validate",),
    ),
    Command(
        "statuses",
        "The statuses that issues can have",
        no_arguments,
        _statuses,
        examples=("moot statuses", "moot statuses --json"),
    ),
    Command(
        "types",
        "The types that issues can have",
        _types_arguments,
        _types,
        examples=("moot types", "moot types --sections  # what their descriptions should have, too"),
    ),
)
"""The commands of this module."""
