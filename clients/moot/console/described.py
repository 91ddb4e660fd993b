"""Completion for shells and manual pages, made from what the grammar knows: they can't say what isn't so.

Pure functions from described commands to text.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from moot.console import exits

_NAME: Final = re.compile(r"[a-z][a-z0-9-]*( [a-z][a-z0-9-]*)*")
_FLAG: Final = re.compile(r"--?[A-Za-z0-9][A-Za-z0-9-]*")
ISSUES: Final = frozenset({"ID", "ON", "OTHER", "TO", "PARENT", "OLD", "A", "B", "ID | TIME TIME", "EVENT | ID"})
"""What arguments are called that name an issue."""
_FIXED: Final = re.compile(r"[a-z0-9][a-z0-9_-]*(\|[a-z0-9][a-z0-9_-]*)+")
"""What a value is called that is one of these words."""
_USAGE: Final = "moot"
"""What a usage begins with."""
_IDS: Final = "MOOT_NO_AUTOSTART=1 {} completion ids"
"""Asks for issues: a key in a shell starts no daemon."""
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
  local current="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" stem="" helps="" choices=""
  local word longer index
  for ((index = 1; index < COMP_CWORD; index++)); do
    word="${COMP_WORDS[index]}"
    case "$word" in -*) continue ;; esac
    if [ "$stem$helps$word" = help ]; then helps=yes; continue; fi
    longer="${stem:+$stem/}$word"
    case "$_moot_stems" in *" $longer "*) stem="$longer" ;; *) break ;; esac
  done
  _moot_choices "$stem"
  COMPREPLY=($(compgen -W "$choices" -- "$current"))
}
"""
"""Runs in zsh as well, where `path`, `words` and the like have meanings of their own."""
_ZSH: Final = """\
(( $+functions[compdef] )) || { autoload -U +X compinit && compinit }
autoload -U +X bashcompinit && bashcompinit
"""
"""Completion is set up unless the user's settings have done so already, in a way of their own."""


class Flag(NamedTuple):
    """A flag of a command."""

    names: tuple[str, ...]
    value: str
    """What its value is called; empty where it takes none."""
    help: str

    @property
    def words(self) -> list[str]:
        """What its value can be, where that is one of some words."""
        return self.value.split("|") if _FIXED.fullmatch(self.value) else []


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

    @property
    def names_issues(self) -> bool:
        """Whether its arguments are issues."""
        return any(name in ISSUES for name, _ in self.words)


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


def _by_name(commands: Sequence[Described]) -> dict[str, Described]:
    return {name: command for command in commands for name in (command.name, *command.aliases)}


def bash(commands: Sequence[Described], program: str) -> str:
    """Completion for bash."""
    following, by_name = _following(commands), _by_name(commands)
    paths = " ".join(name.replace(" ", "/") for name in sorted(following) if name)
    asked = f'choices="$choices $({_IDS.format(program)} -- "$current" 2>/dev/null)"'
    ids = f'_moot_ids() {{ [ -n "$helps" ] || {asked}; }}'
    lines = [f'_moot_stems=" {paths} "', ids, "_moot_choices() {", '  case "$1" in']
    for name, words in sorted(following.items()):
        path = name.replace(" ", "/")
        lines.append(f'    "{path}") {_bash_choice(by_name.get(name), words)} ;;')
    lines += ["  esac", "}"]
    return "\n".join([*lines, f"{_BASH}complete -o default -F _moot {program}", ""])


def _bash_choice(command: Described | None, words: Sequence[str]) -> str:
    """What sets the words that may stand here: a flag's values, flags, further words of the command, issues."""
    flags = [name for flag in (command.flags if command else ()) for name in flag.names if _FLAG.fullmatch(name)]
    ids = "; _moot_ids" if command and command.names_issues else ""
    choice = f'case "$current" in -*) choices="{" ".join(flags)}" ;; *) choices="{" ".join(words)}"{ids} ;; esac'
    arms = "".join(_bash_values(command)) if command else ""
    return f'case "$before" in {arms}*) {choice} ;; esac' if arms else choice


def _bash_values(command: Described) -> Iterator[str]:
    """For each flag with a value what may stand there: issues, fixed words, or nothing that is known."""
    for flag in command.flags:
        names = "|".join(name for name in flag.names if _FLAG.fullmatch(name))
        if flag.value and names:
            words = f'choices="{" ".join(flag.words)}"'
            yield f"{names}) {'_moot_ids' if flag.value in ISSUES else words} ;; "


def zsh(commands: Sequence[Described], program: str) -> str:
    """Completion for zsh, by way of bash's."""
    return f"{_ZSH}{bash(commands, program)}"


def fish(commands: Sequence[Described], program: str) -> str:
    """Completion for fish."""
    following, by_name = _following(commands), _by_name(commands)
    issues = f"'(env {_IDS.format(program)} --titles -- (commandline -ct) 2>/dev/null)'"
    helps = {name: command.help for command in commands for name in (command.name, *command.aliases)}
    lines = ["set -g __moot_paths " + " ".join(f"'{name}'" for name in sorted(following) if name), _FISH_PATH]
    for name, words in sorted(following.items()):
        here = f"complete -c {program} -n 'test (__moot_path) = \"{name}\"'"
        for word in words:
            told = helps.get(f"{name} {word}".strip(), "")
            lines.append(f"{here} -f -a {word}" + (f" -d {_quoted(told)}" if told else ""))
        command = by_name.get(name)
        if command is None:
            continue
        lines += [f"{here} -f -a {issues}"] if command.names_issues else []
        lines += [f"{here} {_fish_flag(flag, issues)}" for flag in command.flags]
    return "\n".join([*lines, ""])


def _fish_flag(flag: Flag, issues: str) -> str:
    value = ["-x", "-a", issues] if flag.value in ISSUES else ["-r"] if flag.value else []
    names = [f"-s {name[1:]}" if len(name) == 2 else f"-l {name[2:]}" for name in flag.names if _FLAG.fullmatch(name)]
    return " ".join([*names, *value, f"-d {_quoted(flag.help)}"])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


# -- Manual pages --------------------------------------------------------------------------------------------------
def pages(commands: Sequence[Described], program: str, date: str) -> Iterator[tuple[str, str]]:
    """Every page, as the name of its file and its content: of all commands, then of each."""
    yield f"{program}.1", manual(commands, program, date)
    for command in commands:
        yield f"{_page(command, program)}.1", manual_of(command, program, date)


def manual(commands: Sequence[Described], program: str, date: str) -> str:
    """The page of all commands, in the language of man; `date` as 2026-01-31."""
    lines = [_title(program, date), ".SH NAME", f"{_roff(program)} \\- issues for people and agents"]
    lines += [".SH SYNOPSIS", f".B {_roff(program)}", "COMMAND [flags]", ".SH COMMANDS"]
    for command in commands:
        lines += [".TP", f".B {_roff(command.name)}", _line(command.help)]
    lines += _exit_status()
    lines += [".SH SEE ALSO", _line(f"`{program} man COMMAND` for each; `{program} help` for a list by subject.")]
    return "\n".join([*lines, ""])


def manual_of(command: Described, program: str, date: str) -> str:
    """The page of one command."""
    page = _page(command, program)
    lines = [_title(page, date), ".SH NAME", f"{_roff(page)} \\- {_roff(command.help)}"]
    lines += [".SH SYNOPSIS", _line(f"{program}{command.usage.removeprefix(_USAGE)}")]
    if command.words:
        lines.append(".SH ARGUMENTS")
        lines += [part for name, told in command.words for part in (".TP", f".I {_roff(name)}", _line(told))]
    lines.append(".SH OPTIONS")
    lines += [part for flag in command.flags for part in _option(flag)]
    if command.examples:
        lines += [".SH EXAMPLES", ".nf", *(_line(example) for example in command.examples), ".fi"]
    lines += _exit_status()
    if command.aliases:
        lines += [".SH ALIASES", _line(", ".join(command.aliases))]
    return "\n".join([*lines, ""])


def _exit_status() -> list[str]:
    rows = [part for code, told in exits.told() for part in (".TP", f".B {code}", _line(told))]
    return [".SH EXIT STATUS", *rows]


def _page(command: Described, program: str) -> str:
    return f"{program}-{command.name.replace(' ', '-')}"


def _title(page: str, date: str) -> str:
    return f'.TH "{_roff(page.upper())}" 1 "{date}" "Moot" "Moot"'


def _option(flag: Flag) -> Iterator[str]:
    value = f" \\fI{_roff(flag.value)}\\fR" if flag.value else ""
    yield ".TP"
    yield ", ".join(f"\\fB{_roff(name)}\\fR" for name in flag.names) + value
    yield _line(flag.help)


def _roff(text: str) -> str:
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return plain if plain.isascii() else "".join(each if each.isascii() else f"\\[u{ord(each):04X}]" for each in plain)


def _line(text: str) -> str:
    """A line of text, which must not be taken for a request."""
    told = _roff(text)
    return f"\\&{told}" if told.startswith((".", "'")) or not told else told
