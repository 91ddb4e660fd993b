"""setup and hooks: what makes agents and git know of this project's issues.

Both write into files of the user's project, through the client and only between two marker lines of their own. Nothing
is written unasked: at a terminal the user is shown what will stand there and asked, elsewhere it takes --yes. What
held nothing but our section is removed with it.
"""

import posixpath
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from moot.console import as_bd, exits
from moot.console.command import Command, Context, no_arguments
from moot.console.commands.machine.about import ONBOARD
from moot.console.context import NoTextError, answer, is_trial, note, read_text
from moot.console.lines.confirm import confirmed
from moot.console.text.marked import Marks, made, section_of, with_section, without_section
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError

TEXT: Final = Marks("<!-- moot: begin -->", "<!-- moot: end -->")
SHELL: Final = Marks("# moot: begin", "# moot: end")
TOOLS: Final = {
    "claude": "CLAUDE.md",
    "codex": "AGENTS.md",
    "cursor": ".cursor/rules/moot.mdc",
    "aider": "CONVENTIONS.md",
    "gemini": "GEMINI.md",
    "opencode": "AGENTS.md",
}
"""Tool → the file that it reads in a project's folder."""
SHELL_HEAD: Final = "#!/bin/sh\n"
CURSOR_HEAD: Final = "---\ndescription: This project's issues\nalwaysApply: true\n---\n"
HOOKS: Final = ("post-merge", "post-checkout", "pre-push")
"""git's hooks after or before which other machines may have news."""
_EXECUTABLE: Final = 0o111
_SHELLS: Final = ("sh", "bash", "dash", "zsh", "ksh")


class Change(NamedTuple):
    """What is to become of a file."""

    path: str
    before: str
    after: str
    is_empty: bool = False
    """Whether nothing is left in it but what we begin a file with, so that it goes."""
    mode: int | None = None
    """The permissions that it has and keeps; None where none could be read, so that none may be replaced."""


# -- Common ground -----------------------------------------------------------------------------------------------
def _add_consent(parser: ArgumentParser) -> None:
    parser.add_argument("-y", "--yes", action="store_true", help="write without asking")


def _text(context: Context, path: str) -> str | None:
    """A file's text; None where none can be read: there may be one all the same."""
    try:
        return read_text(context, path)
    except NoTextError:
        raise
    except RefusedError:
        return None


class _Asking(NamedTuple):
    """The words in which the user's consent is asked for."""

    question: str
    nothing: str
    by_flag: str


_WRITING: Final = _Asking("Write it?", "nothing was written", "--yes writes it")
_REMOVING: Final = _Asking("Remove it?", "nothing was removed", "--yes removes it")


def _consents(context: Context, shown: str, asking: _Asking) -> bool:
    """Whether the user wants it, after seeing it.

    Raises:
        RefusedError: `usage`: nobody can be asked, and --yes wasn't given.
    """
    if context.arguments.yes and not is_trial(context):
        return True
    facts = context.terminal.facts
    context.terminal.err(f"{shown}\n")
    if is_trial(context):
        return True
    if context.json or not (facts.in_is_terminal and facts.err_is_terminal):
        raise RefusedError(f"{asking.nothing}: nobody can be asked here", code=Code.USAGE, hint=asking.by_flag)
    context.terminal.err(f"{asking.question} [y/N] ")
    if next(iter(context.terminal.stdin()), b"").strip().lower() in {b"y", b"yes"}:
        return True
    context.terminal.err(f"{asking.nothing.capitalize()}\n")
    return False


def _to_be_written(changes: list[Change], section: str) -> str:
    """What the user is shown before something is written."""
    return f"This would be written to {', '.join(neutralise(change.path) for change in changes)}:\n\n{section}"


def _to_be_removed(changes: list[Change], marks: Marks, again: str) -> str:
    """What the user is shown before sections are taken out: each as it stands, what stays, and what is lost.

    Args:
        changes: what is to become of the files.
        marks: between which a section stands.
        again: the command that writes it again.
    """
    told = [f"This would be removed; `{again}` writes it again, without what was changed in it by hand:", ""]
    for change in changes:
        stays = "the file with it, for nothing else stands there" if change.is_empty else "all else in the file stays"
        told += [f"{neutralise(change.path)} ({stays}):", ""]
        told += [neutralise(section_of(change.before, marks) or "", keep_newlines=True).rstrip("\n"), ""]
    return "\n".join(told)


def _write(context: Context, changes: list[Change], mode: int = 0o644) -> None:
    for change in changes:
        if change.is_empty:
            context.terminal.remove_file(change.path)
        else:
            is_new = change.mode is None
            kept = mode if change.mode is None else change.mode
            context.terminal.write_file(change.path, [change.after.encode()], mode=kept, exclusive=is_new)


def _mode(context: Context, path: str, text: str | None) -> int | None:
    """The permissions of a file with this text; None where there is none."""
    return None if text is None else context.terminal.file_mode(path)


def _without(context: Context, path: str, marks: Marks, start: str = "") -> Change:
    """A file with our section taken out, of which nothing stays where nothing but `start` is left."""
    text = _text(context, path)
    before = text or ""
    after = without_section(before, marks)
    return Change(path, before, after, after.strip() in {"", start.strip()}, _mode(context, path, text))


def _done_to(context: Context, change: Change, done: str, would: str) -> str:
    """The line that says what was done to a file, or would be."""
    path = neutralise(change.path)
    rest = ", in which nothing else stood" if change.is_empty else ""
    if is_trial(context):
        return f"{'Would remove' if change.is_empty else would} {path}{rest}"
    return confirmed(context, f"{'Removed' if change.is_empty else done} {path}{rest}")


# -- setup -------------------------------------------------------------------------------------------------------
def _setup_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("tool", nargs="?", choices=TOOLS, metavar="TOOL", help=f"one of {', '.join(TOOLS)}")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--check", action="store_true", help="only tell whether it is there and up to date")
    way.add_argument("--remove", action="store_true", help="take it out again")
    parser.add_argument("--list", action="store_true", help="the tools there are")
    _add_consent(parser)


def _setup(context: Context) -> int:
    given = context.arguments
    if given.list or given.tool is None:
        answer(context, TOOLS, [f"{tool}: {path}" for tool, path in TOOLS.items()])
        return exits.OK
    path, body = TOOLS[given.tool], ONBOARD.format(program=context.terminal.facts.program)
    text = _text(context, path)
    before = text or ""
    if given.check:
        return _checked(context, path, section_of(before, TEXT), made(body, TEXT))
    head = CURSOR_HEAD if given.tool == "cursor" else ""
    if given.remove:
        change, asking = _without(context, path, TEXT, head), _REMOVING
        shown = _to_be_removed([change], TEXT, f"{context.terminal.facts.program} setup {given.tool}")
        done, would = "Took the section out of", "Would take the section out of"
    else:
        after, asking = with_section(before or head, body, TEXT), _WRITING
        change = Change(path, before, after, mode=_mode(context, path, text))
        shown = _to_be_written([change], made(body, TEXT))
        done, would = "Wrote the section of", "Would write the section of"
    if change.before == change.after:
        return _answered(context, given.tool, path, [f"Nothing to do: {path} is as it should be"], written=False)
    if not _consents(context, shown, asking):
        return exits.FAILED
    _write(context, [change])
    return _answered(context, given.tool, path, [_done_to(context, change, done, would)], written=True)


def _answered(context: Context, tool: str, path: str, told: list[str], *, written: bool) -> int:
    answer(context, {"tool": tool, "file": path, "written": written and not is_trial(context)}, told)
    return exits.OK


def _checked(context: Context, path: str, found: str | None, wanted: str) -> int:
    state = "missing" if found is None else "current" if found == wanted else "outdated"
    answer(context, {"file": path, "state": state}, [f"{path}: {state}"])
    return exits.OK if state == "current" else exits.FAILED


# -- hooks -------------------------------------------------------------------------------------------------------
def _section(context: Context, hook: str) -> str:
    program = context.terminal.facts.program
    return f'command -v {program} >/dev/null 2>&1 && {program} hooks run {hook} "$@" </dev/null || true'


def _hook_path(context: Context, hook: str) -> str:
    return posixpath.join(context.terminal.ask_tool("git-hooks").strip(), hook)


def _with_hook(context: Context, hook: str) -> Change:
    """A hook with our section in it: before what another tool has there, which runs on as it did.

    Raises:
        RefusedError: `conflict`: what is there is no shell script.
    """
    path = _hook_path(context, hook)
    text = _text(context, path)
    before = text or ""
    first = before.partition("\n")[0]
    if before and not (first.startswith("#!") and posixpath.basename((first[2:].split() or [""])[-1]) in _SHELLS):
        raise RefusedError(
            f"{path} is no shell script, and is left alone",
            code=Code.CONFLICT,
            hint=f"let it call `{context.terminal.facts.program} hooks run {hook}`",
        )
    after = with_section(before or SHELL_HEAD, _section(context, hook), SHELL, after_first_line=True)
    return Change(path, before, after, mode=_mode(context, path, text))


def _install_arguments(parser: ArgumentParser) -> None:
    _add_consent(parser)


def _install(context: Context) -> int:
    hooks = [_with_hook(context, hook) for hook in HOOKS]
    changes = [change for change in hooks if change.before != change.after]
    shown = _to_be_written(changes, "".join(f"{_section(context, hook)}\n" for hook in HOOKS))
    code = _changed(context, changes, shown, _WRITING, ("Installed", "Would install"))
    for change in hooks if code == exits.OK else ():
        if change.mode is not None and not change.mode & _EXECUTABLE:
            # Somebody may have turned it off so: what else stands in it is not to run because of us.
            note(context, f"{neutralise(change.path)} isn't executable, so git doesn't run it; `chmod +x` lets it run")
    return code


def _uninstall(context: Context) -> int:
    found = [_without(context, _hook_path(context, hook), SHELL, SHELL_HEAD) for hook in HOOKS]
    changes = [change for change in found if change.before != change.after]
    shown = _to_be_removed(changes, SHELL, f"{context.terminal.facts.program} hooks install")
    return _changed(context, changes, shown, _REMOVING, ("Took the section out of", "Would take the section out of"))


def _changed(context: Context, changes: list[Change], shown: str, asking: _Asking, words: tuple[str, str]) -> int:
    if changes and not _consents(context, shown, asking):
        return exits.FAILED
    done, would = words
    _write(context, changes, 0o755)
    told = [_done_to(context, change, done, would) for change in changes] or ["Nothing to do"]
    written = bool(changes) and not is_trial(context)
    answer(context, {"files": [change.path for change in changes], "written": written}, told)
    return exits.OK


def _list(context: Context) -> int:
    rows = list(_states(context))
    document: Any = rows
    if context.terminal.facts.is_bd:
        document = {"hooks": [row | _as_bd(row) for row in rows]}
    answer(context, document, [f"{row['name']}: {row['state']}{_off(row)}" for row in rows])
    return exits.OK


def _off(row: dict[str, Any]) -> str:
    """What is told beside the state of a hook that git passes over."""
    return ", but not executable: git doesn't run it" if row["installed"] and not row["executable"] else ""


def _as_bd(row: dict[str, Any]) -> dict[str, Any]:
    """A hook under the names that `bd hooks list` has."""
    installed, outdated = row["installed"], row["state"] == "outdated"
    version = as_bd.VERSION if installed else ""
    return {"Name": row["name"], "Installed": installed, "Version": version, "IsShim": False, "Outdated": outdated}


def _states(context: Context) -> Iterator[dict[str, Any]]:
    for hook in HOOKS:
        path = _hook_path(context, hook)
        text = _text(context, path)
        mode = _mode(context, path, text)
        found = section_of(text or "", SHELL)
        wanted = made(_section(context, hook), SHELL)
        state = "not installed" if found is None else "installed" if found == wanted else "outdated"
        is_executable = mode is not None and bool(mode & _EXECUTABLE)
        yield {"name": hook, "installed": found is not None, "state": state, "executable": is_executable}


COMMANDS: Final = (
    Command(
        "setup",
        "Tell a coding agent of this project's issues, in the file that it reads",
        _setup_arguments,
        _setup,
        examples=("moot setup claude", "moot setup codex --check", "moot setup cursor --remove --yes"),
        alone=True,
        unaided=True,
    ),
    Command(
        "hooks install",
        "Let git's hooks here exchange issues; hooks of others run on",
        _install_arguments,
        _install,
        examples=("moot hooks install --yes",),
        alone=True,
        unaided=True,
    ),
    Command(
        "hooks uninstall",
        "Take that out of git's hooks again",
        _install_arguments,
        _uninstall,
        examples=("moot hooks uninstall --yes",),
        alone=True,
        unaided=True,
    ),
    Command(
        "hooks list",
        "Which of git's hooks exchange issues",
        no_arguments,
        _list,
        alone=True,
        unaided=True,
        examples=("moot hooks list", "moot hooks list --json"),
    ),
)
"""The commands of this module; `hooks run` stands in `hook_runs.py`."""
