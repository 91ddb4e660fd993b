"""Completion for shells and manual pages, made from what the grammar knows: they can't say what isn't so.

Pure functions from described commands to text.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

_NAME: Final = re.compile(r"[a-z][a-z0-9-]*( [a-z][a-z0-9-]*)*")
_FLAG: Final = re.compile(r"--?[A-Za-z0-9][A-Za-z0-9-]*")
_FISH_PATH: Final = """\
function __moot_path
    set -l path
    for word in (commandline -opc)[2..-1]
        string match -q -- '-*' $word; and continue
        set -l longer (string join ' ' $path $word)
        contains -- $longer $__moot_paths; or break
        set path $longer
    end
    echo $path
end
"""
_BASH: Final = """\
_moot() {
  local current="${COMP_WORDS[COMP_CWORD]}" path="" word longer index words=""
  for ((index = 1; index < COMP_CWORD; index++)); do
    word="${COMP_WORDS[index]}"
    case "$word" in -*) continue ;; esac
    longer="${path:+$path/}$word"
    case "$_moot_paths" in *" $longer "*) path="$longer" ;; *) break ;; esac
  done
  _moot_words "$path"
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
"""


class Flag(NamedTuple):
    """A flag of a command."""

    names: tuple[str, ...]
    value: str
    """What its value is called; empty where it takes none."""
    help: str


class Described(NamedTuple):
    """A command as the grammar knows it."""

    name: str
    aliases: tuple[str, ...]
    help: str
    usage: str
    flags: tuple[Flag, ...]
    words: tuple[tuple[str, str], ...]
    """Its arguments that are no flags, with what they are."""
    examples: tuple[str, ...]


# -- Completion ----------------------------------------------------------------------------------------------------
def _following(commands: Sequence[Described]) -> dict[str, list[str]]:
    """What can stand after each beginning of a command: further words, by their beginning's words."""
    found: dict[str, list[str]] = {"": []}
    for command in commands:
        for name in (command.name, *command.aliases):
            if not _NAME.fullmatch(name):
                continue
            words = name.split(" ")
            for place, word in enumerate(words):
                after = found.setdefault(" ".join(words[:place]), [])
                if word not in after:
                    after.append(word)
            found.setdefault(name, [])
    return found


def _flags_by_name(commands: Sequence[Described]) -> dict[str, tuple[Flag, ...]]:
    return {name: command.flags for command in commands for name in (command.name, *command.aliases)}


def bash(commands: Sequence[Described], program: str) -> str:
    """Completion for bash."""
    following, flags = _following(commands), _flags_by_name(commands)
    paths = " ".join(name.replace(" ", "/") for name in sorted(following) if name)
    lines = [f'_moot_paths=" {paths} "', "_moot_words() {", '  case "$1" in']
    for name, words in sorted(following.items()):
        known = [flag for each in flags.get(name, ()) for flag in each.names if _FLAG.fullmatch(flag)]
        path = name.replace(" ", "/")
        choice = f'-*) words="{" ".join(known)}" ;; *) words="{" ".join(words)}" ;;'
        lines.append(f'    "{path}") case "$current" in {choice} esac ;;')
    lines += ["  esac", "}"]
    return "\n".join([*lines, f"{_BASH}complete -o default -F _moot {program}", ""])


def zsh(commands: Sequence[Described], program: str) -> str:
    """Completion for zsh, by way of bash's."""
    return (
        f"autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n{bash(commands, program)}"
    )


def fish(commands: Sequence[Described], program: str) -> str:
    """Completion for fish."""
    following, flags = _following(commands), _flags_by_name(commands)
    helps = {name: command.help for command in commands for name in (command.name, *command.aliases)}
    lines = ["set -g __moot_paths " + " ".join(f"'{name}'" for name in sorted(following) if name), _FISH_PATH]
    for name, words in sorted(following.items()):
        here = f"complete -c {program} -n 'test (__moot_path) = \"{name}\"'"
        for word in words:
            told = helps.get(f"{name} {word}".strip(), "")
            lines.append(f"{here} -f -a {word}" + (f" -d {_quoted(told)}" if told else ""))
        lines += [f"{here} {_fish_flag(flag)}" for flag in flags.get(name, ())]
    return "\n".join([*lines, ""])


def _fish_flag(flag: Flag) -> str:
    names = [f"-s {name[1:]}" if len(name) == 2 else f"-l {name[2:]}" for name in flag.names if _FLAG.fullmatch(name)]
    return " ".join([*names, *(["-r"] if flag.value else []), f"-d {_quoted(flag.help)}"])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


# -- Manual pages --------------------------------------------------------------------------------------------------
def manual(commands: Sequence[Described], program: str) -> str:
    """The page of all commands, in the language of man."""
    lines = [_title(program), ".SH NAME", f"{_roff(program)} \\- issues for people and agents"]
    lines += [".SH SYNOPSIS", f".B {_roff(program)}", "COMMAND [flags]", ".SH COMMANDS"]
    for command in commands:
        lines += [".TP", f".B {_roff(command.name)}", _line(command.help)]
    lines += [".SH SEE ALSO", _line(f"`{program} man COMMAND` for each; `{program} help` for a list by subject.")]
    return "\n".join([*lines, ""])


def manual_of(command: Described, program: str) -> str:
    """The page of one command."""
    page = f"{program}-{command.name.replace(' ', '-')}"
    lines = [_title(page), ".SH NAME", f"{_roff(page)} \\- {_roff(command.help)}"]
    lines += [".SH SYNOPSIS", _line(f"{program} {command.usage}")]
    if command.words:
        lines.append(".SH ARGUMENTS")
        lines += [part for name, told in command.words for part in (".TP", f".I {_roff(name)}", _line(told))]
    lines.append(".SH OPTIONS")
    lines += [part for flag in command.flags for part in _option(flag)]
    if command.examples:
        lines += [".SH EXAMPLES", ".nf", *(_line(example) for example in command.examples), ".fi"]
    if command.aliases:
        lines += [".SH ALIASES", _line(", ".join(command.aliases))]
    return "\n".join([*lines, ""])


def _title(page: str) -> str:
    return f'.TH "{_roff(page.upper())}" 1 "" "Moot" "Moot"'


def _option(flag: Flag) -> Iterator[str]:
    value = f" \\fI{_roff(flag.value)}\\fR" if flag.value else ""
    yield ".TP"
    yield ", ".join(f"\\fB{_roff(name)}\\fR" for name in flag.names) + value
    yield _line(flag.help)


def _roff(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")


def _line(text: str) -> str:
    """A line of text, which must not be taken for a request."""
    told = _roff(text)
    return f"\\&{told}" if told.startswith((".", "'")) or not told else told
