"""What a project remembers: remember, recall, memories, forget, and the key-value store.

Shapes and words are those of `bd`. A key that isn't there is told by `bd`'s document and the exit code; called as
`moot`, the document has the failure in it, too, as every other failure's.
"""

import re
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any, Final

from moot.console import documents, exits
from moot.console.command import Command, Context
from moot.console.context import answer, answer_list, need_project, note, note_origins, read_text
from moot.console.lines import issues as lines
from moot.console.lines.confirm import UNCHANGED, is_unchanged, nothing_to_do
from moot.console.lines.kept import others_of, value_words, writer_words
from moot.console.notices.written_apart import note_conflicts, note_others
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.settings import KV
from moot_protocol.requests.memories import EraseMemory, Forget, Memories, Remember, SetSetting, Settings

SLUG_WORDS: Final = 8
SLUG_CHARS: Final = 60
_UNFIT: Final = re.compile(r"[^a-z0-9]+")
_SHOWN_CHARS: Final = 120
_CONFIRMED_CHARS: Final = 80
_RESERVED: Final = ("kv.", "memory.", "sync.", "conflict.", "federation.", "jira.", "linear.", "export.", "import.")
"""What keys of the store can't begin with, as `bd` has it: they would look like settings."""


def slug(text: str) -> str:
    """A key out of a text: its first words in small letters, joined by hyphens; empty where it has no such letters."""
    words = _UNFIT.sub("-", text.lower()).strip("-").split("-")
    return "-".join(words[:SLUG_WORDS])[:SLUG_CHARS].rstrip("-")


def _short(text: str, most: int) -> str:
    line = neutralise(" ".join(text.split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _other(value: str | None) -> str:
    return _short(value, _SHOWN_CHARS) if value else value_words(value)


def _found(context: Context, key: str, kept: Mapping[str, Any] | None, absent: RefusedError, **more: str) -> int:
    """Answer with what stands under a key, or that nothing does; and what else was written there apart."""
    others: dict[str, Any] = {}
    if kept is not None:
        note_others(context, kept)
        others = {"others": found} if (found := others_of(kept)) else {}
    value = "" if kept is None else str(kept["text"] if "text" in kept else kept["value"])
    if not value:
        return _not_found(context, {"key": key, "value": "", "found": False} | others, absent)
    if context.json:
        documents.write(context, {"key": key, "value": value, "found": True} | more | others)
    else:
        context.terminal.out(neutralise(value, keep_newlines=True) + "\n")
    return exits.OK


def _written(context: Context, answered: Mapping[str, Any], document: dict[str, Any], told: str, was_so: str) -> int:
    """Answer with what was written, or that it was so already. The texts are safe to print."""
    if is_unchanged(answered):
        answer(context, document | {UNCHANGED: True}, [nothing_to_do(was_so)])
    else:
        answer(context, document, [told])
    return exits.OK


def _not_found(context: Context, document: dict[str, Any], absent: RefusedError) -> int:
    """Answer that nothing stands under a key: as `bd` with its document alone, else with the failure in it, too."""
    if context.json:
        told = {} if context.terminal.facts.is_bd else {"error": documents.error_body(absent)}
        documents.write(context, document | told)
    else:
        context.terminal.err(f"{neutralise(absent.message)}\n")
    return exits.exit_code(absent)


# -- Memories ----------------------------------------------------------------------------------------------------
def _remembered(context: Context, key: str) -> dict[str, Any] | None:
    """A memory; None where there is none, nor anything written apart from its being taken away."""
    project = need_project(context)
    for conflicts in (False, True):
        found = context.api.call(Memories(project=project, plane=context.plane, key=key, conflicts=conflicts))
        if found:
            if found[0]["foreign"]:
                note(context, f"(written in {lines.replicas_of(found[0]) or 'another town'})")
            return dict(found[0])
    return None


def _no_memory(key: str) -> RefusedError:
    return RefusedError(f'No memory with key "{key}"', code=Code.NOT_FOUND, hint="`moot memories` lists them")


def _remember_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("text", nargs="?", metavar="TEXT", help="what to remember; - reads stdin")
    parser.add_argument(
        "--key",
        default="",
        metavar="KEY",
        help="its key; else made from its first words, and with a number where they have another text",
    )
    parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")


def _remember(context: Context) -> int:
    given = context.arguments
    if given.text is None:
        raise RefusedError("remember what?", code=Code.USAGE, hint='`moot remember "Tests need a running broker"`')
    text = (read_text(context, "-") if given.text == "-" else given.text).strip()
    key = given.key or slug(text)
    if not key:
        raise RefusedError("no key can be made from this text", code=Code.USAGE, hint="give one with --key")
    if not given.key and key == text:
        return _recalled_instead(context, key)
    kept = context.api.call(
        Remember(
            actor=context.actor,
            dry_run=given.dry_run,
            project=need_project(context),
            plane=context.plane,
            key=key,
            text=text,
            beside=not given.key,
        )
    )
    if kept["key"] != key and not is_unchanged(kept):
        note(context, f"([{neutralise(key)}] says something else; `--key {neutralise(key)}` writes over it)")
    key = str(kept["key"])
    done = "Remembered" if kept["created"] else "Updated"
    document = {"key": key, "value": kept["text"], "action": done.lower()}
    told = f"{done} [{neutralise(key)}]: {_short(kept['text'], _CONFIRMED_CHARS)}"
    return _written(context, kept, document, told, f"[{neutralise(key)}] is remembered so already")


def _recalled_instead(context: Context, key: str) -> int:
    """A text that is nothing but a key asks for what stands there: nobody means to remember a key by itself."""
    kept = _remembered(context, key)
    if kept is None or not kept["text"]:
        raise RefusedError(
            f"no memory {key}, and a key alone is not remembered",
            code=Code.NOT_FOUND,
            hint=f"`moot remember TEXT --key {key}` keeps a text there",
        )
    if not context.json:
        note(context, f"(recalled {neutralise(key)}: a key alone reads; TEXT --key {neutralise(key)} writes)")
    return _found(context, key, kept, _no_memory(key), action="recalled")


def _key_argument(parser: ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", help="its key")


def _recall(context: Context) -> int:
    key = context.arguments.key
    return _found(context, key, _remembered(context, key), _no_memory(key))


def _memories_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("search", nargs="?", default="", metavar="WORDS", help="only those with these words in them")


def _memories(context: Context) -> int:
    search = context.arguments.search
    found = context.api.call(Memories(project=need_project(context), plane=context.plane, search=search))
    if context.json:
        note_conflicts(context, found)
        documents.write(context, {each["key"]: each["text"] for each in found})
        return exits.OK
    if not found:
        told = f"no memories with {neutralise(search)!r}" if search else 'no memories; `moot remember "…"` adds one'
        context.terminal.err(f"{told}\n")
        return exits.OK
    told = f"Memories matching {neutralise(search)!r}:" if search else f"Memories ({len(found)}):"
    rows = [told, ""]
    for each in found:
        from_others = f"from {lines.replicas_of(each) or 'another town'}"
        marks = [word for name, word in (("foreign", from_others), ("conflict", "in conflict")) if each[name]]
        rows.append(f"  {neutralise(each['key'])}" + (f" ({', '.join(marks)})" if marks else ""))
        rows.append(f"    {_short(each['text'], _SHOWN_CHARS)}")
        rows += (
            f"    apart, by {writer_words(other, context.now_ms)}: {_other(other['value'])}"
            for other in others_of(each)
        )
    lines.write_lines(context, rows)
    return exits.OK


def _forget_arguments(parser: ArgumentParser) -> None:
    _key_argument(parser)
    parser.add_argument(
        "--erase", action="store_true", help="take it out of the log, too, with all that it ever said, for good"
    )


def _forget(context: Context) -> int:
    key, is_bd = context.arguments.key, context.terminal.facts.is_bd
    way = EraseMemory if context.arguments.erase else Forget
    try:
        was = context.api.call(way(actor=context.actor, project=need_project(context), plane=context.plane, key=key))
    except RefusedError as error:
        if error.code is not Code.NOT_FOUND or not context.project:
            raise
        gone: dict[str, Any] = {"found": "false"} if is_bd else {"found": False, "deleted": False}
        return _not_found(context, {"key": key} | gone, _no_memory(key))
    document = {"key": key} | ({} if is_bd else {"found": True}) | _deleted(context)
    if context.arguments.erase:
        answer(context, document | {"erased": True, "events": was["events"]}, _erased_lines(key, was["events"]))
    else:
        answer(context, document, [f"Forgot [{neutralise(key)}]: {_short(was['text'], _CONFIRMED_CHARS)}"])
    return exits.OK


def _erased_lines(key: str, events: int) -> list[str]:
    return [
        f"Erased [{neutralise(key)}], with all that it ever said: {several(events, 'event')}",
        "  Other machines erase it when they exchange with this one: `moot sync` begins at once",
        "  Remotes, brokers, backups and exported files go on holding it",
    ]


def _deleted(context: Context) -> dict[str, Any]:
    """That something was taken away: `bd` has a text there."""
    return {"deleted": "true" if context.terminal.facts.is_bd else True}


# -- The key-value store -----------------------------------------------------------------------------------------
def _store_key(context: Context) -> str:
    key = str(context.arguments.key)
    if not key.strip():
        raise RefusedError("a key can't be empty", code=Code.USAGE)
    reserved = next((name for name in _RESERVED if key.startswith(name)), "")
    if reserved:
        raise RefusedError(f"a key can't begin with {reserved}", code=Code.USAGE, hint="settings and memories do")
    return KV + key


def _values(context: Context, prefix: str) -> list[dict[str, Any]]:
    """What is set under keys that begin so, and on standard error which of it other towns have written."""
    found = context.api.call(Settings(project=need_project(context), plane=context.plane, prefix=prefix))
    note_origins(context, found)
    return found


def _put(context: Context, key: str, value: str | None) -> dict[str, Any]:
    return context.api.call(
        SetSetting(actor=context.actor, project=need_project(context), plane=context.plane, key=key, value=value)
    )


def _kv_set_arguments(parser: ArgumentParser) -> None:
    _key_argument(parser)
    parser.add_argument("value", metavar="VALUE", help="its value")


def _kv_set(context: Context) -> int:
    key, value = context.arguments.key, context.arguments.value
    put = _put(context, _store_key(context), value)
    told = f"{neutralise(key)} = {neutralise(value)}"
    return _written(context, put, {"key": key, "value": value}, f"Set {told}", f"{told} already")


def _kv_get(context: Context) -> int:
    key = context.arguments.key
    stored = _store_key(context)
    absent = RefusedError(f"{key} (not set)", code=Code.NOT_FOUND, hint="`moot kv list` lists what is set")
    found = (each for each in _values(context, stored) if each["key"] == stored)
    return _found(context, key, next(found, None), absent)


def _kv_clear(context: Context) -> int:
    key = context.arguments.key
    put = _put(context, _store_key(context), None)
    told, was_so = f"Cleared {neutralise(key)}", f"{neutralise(key)} isn't set"
    return _written(context, put, {"key": key} | _deleted(context), told, was_so)


def _kv_list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--prefix", default="", metavar="TEXT", help="only keys that begin so")


def _kv_list(context: Context) -> int:
    found = _values(context, KV + context.arguments.prefix)
    note_conflicts(context, found)
    pairs = {str(each["key"]).removeprefix(KV): str(each["value"]) for each in found}
    told = [f"  {neutralise(key)} = {neutralise(value)}" for key, value in pairs.items()]
    answer_list(context, pairs, lambda _: ["Key-Value Store:", *told], "No key-value pairs set")
    return exits.OK


COMMANDS: Final = (
    Command(
        "remember",
        "Keep something in mind for everybody in the project",
        _remember_arguments,
        _remember,
        examples=('moot remember "Tests need a running broker"', 'moot remember "JWT, not sessions" --key auth'),
    ),
    Command("recall", "What is remembered under a key", _key_argument, _recall, examples=("moot recall auth",)),
    Command(
        "memories",
        "All that is remembered",
        _memories_arguments,
        _memories,
        examples=("moot memories", "moot memories broker --json"),
    ),
    Command("forget", "Take a memory away", _forget_arguments, _forget, examples=("moot forget auth",)),
    Command("kv set", "Keep a value under a key", _kv_set_arguments, _kv_set, examples=("moot kv set retries 3",)),
    Command(
        "kv get",
        "The value under a key",
        _key_argument,
        _kv_get,
        examples=("moot kv get retries", "retries=$(moot kv get retries)"),
    ),
    Command(
        "kv clear",
        "Take a key away",
        _key_argument,
        _kv_clear,
        aliases=("kv delete",),
        examples=("moot kv clear retries",),
    ),
    Command(
        "kv list",
        "All keys and their values",
        _kv_list_arguments,
        _kv_list,
        examples=("moot kv list", "moot kv list --prefix ci."),
    ),
)
"""The commands of this module."""
