"""The grammar: which command an argument list names, what its flags say, and help.

Parsers are built one by one, when their command is first called, and kept: the daemon lives long and serves many
threads, which is safe since parsing never changes a parser. Argument lists are put into a canonical form before
argparse sees them (`--flag=value` first, then `--`, then the rest), so that flags and ids mix freely, values may
begin with a hyphen, and nothing is abbreviated or guessed. Every mistake is a RefusedError with code `usage`.
"""

import difflib
import re
import textwrap
from argparse import SUPPRESS, Action, ArgumentParser, HelpFormatter, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, NoReturn

from moot.console.command import Command, of_key
from moot.console.described import Described, Flag
from moot.console.text.table import LEAST_FLEXIBLE
from moot_protocol.errors import Code, RefusedError

HELP_FLAGS: Final = ("-h", "--help")
VERSION_FLAGS: Final = ("-V", "--version")
FLAGS_OF_BD: Final = (
    "--no-auto-flush", "--no-auto-import", "--no-daemon", "--no-db", "--sandbox", "--allow-stale",
    "--ignore-schema-skew", "--no-color", "-v", "--verbose",
)  # fmt: skip
"""Flags that `bd` takes with every command and that change nothing here: they are taken, so that callers work."""
VALUES_OF_BD: Final = ("--dolt-auto-commit", "--lock-timeout")
"""As `FLAGS_OF_BD`, with a value."""
_SWITCH: Final = {"true": True, "false": False}
_NO_NUMBER: Final = re.compile(r"invalid int value: (.*)", re.DOTALL)
"""How argparse says that a flag takes a number."""
_PART: Final = re.compile(r'\s*"((?:[^"]|"")*)"\s*(?:,|$)|([^,]*)(?:,|$)')
"""An element of several that are separated by commas: quoted, or up to the next comma."""
_LITERAL: Final = "\0"
_TOO_MUCH: Final = "unrecognized arguments: --"
"""How argparse begins where all words of a command that takes none are too many: it names what we put before them."""
"""Put before a value that is `--` itself, which argparse would drop."""


class Invocation(NamedTuple):
    """What an argument list asks for: a command with its arguments, or help."""

    command: Command | None
    """None where only help is asked for."""
    arguments: Namespace
    """Empty for help."""
    topic: str = ""
    """What help is asked about; empty: everything."""


class _Split(NamedTuple):
    options: list[str]
    """Flags in canonical form."""
    words: list[str]
    """Everything else, in order."""
    wants_help: bool
    end: int
    """Where reading stopped."""


class CommandParser(ArgumentParser):
    """A parser that raises instead of exiting, and reads flags in any place and nothing but whole ones."""

    def __init__(self, name: str, *, prog: str = "moot", width: int = 80) -> None:
        def formatter(prog: str) -> HelpFormatter:
            return RawDescriptionHelpFormatter(prog, max_help_position=28, width=width)

        super().__init__(prog=f"{prog} {name}".strip(), formatter_class=formatter, add_help=False, allow_abbrev=False)
        self.name = name
        group = self.add_argument_group("flags of every command")
        group.add_argument("--json", action="store_true", help="print one JSON document")
        group.add_argument("--actor", metavar="NAME", help="who acts (else MOOT_ACTOR, git's user.name, your own)")
        group.add_argument("-q", "--quiet", action="store_true", help="print no confirmations")
        group.add_argument("-C", dest="directory", metavar="PATH", help="act as if called in this folder")
        group.add_argument("--readonly", action="store_true", help="refuse to change anything")
        group.add_argument("--request-id", metavar="ID", help="called again with this ID: not done again")
        group.add_argument("-h", "--help", action="store_true", help="show this help")

    def take_flags_of_bd(self) -> None:
        """Take what `bd` takes with every command, unless it is a flag of this command's own."""
        for flag in FLAGS_OF_BD:
            if flag not in self._option_string_actions:
                self.add_argument(flag, action="store_true", dest="of_bd", help=SUPPRESS)
        for flag in VALUES_OF_BD:
            if flag not in self._option_string_actions:
                self.add_argument(flag, dest="of_bd", help=SUPPRESS)
        self.add_argument("--db", help=SUPPRESS)

    def error(self, message: str) -> NoReturn:
        """Refuse an argument list.

        Raises:
            RefusedError: always, with code `usage`.
        """
        told = _NO_NUMBER.sub(r"\1 is no whole number", message, count=1)
        raise self._mistake(told.replace(f"{_TOO_MUCH} ", _TOO_MUCH.removesuffix("--")))

    def split(self, argv: Sequence[str], start: int = 0, *, leading: bool = False) -> _Split:
        """Sort an argument list into flags and words.

        Args:
            argv: the arguments.
            start: where to begin.
            leading: stop at the first argument that isn't a flag known here, rather than refuse unknown ones.

        Raises:
            RefusedError: an unknown flag, one without its value, or one with a value it doesn't take.
        """
        options: list[str] = []
        words: list[str] = []
        wants_help = False
        position = start
        while position < len(argv):
            argument = argv[position]
            if argument == "--" and not leading:
                words.extend(argv[position + 1 :])
                position = len(argv)
                break
            if not _is_flag(argument) or (leading and not self._knows(argument)):
                if leading:
                    break
                words.append(argument)
                position += 1
                continue
            following = argv[position + 1] if position + 1 < len(argv) else None
            found, took_following = self._canonical(argument, following)
            wants_help = wants_help or any(option in HELP_FLAGS for option in found)
            options.extend(found)
            position += 2 if took_following else 1
        return _Split(options, words, wants_help, position)

    def _knows(self, argument: str) -> bool:
        name = argument.split("=", 1)[0]
        return name in self._option_string_actions

    def _canonical(self, argument: str, following: str | None) -> tuple[list[str], bool]:
        """One argument as canonical flags, and whether the next argument was its value."""
        name, equals, value = argument.partition("=")
        action = self._option_string_actions.get(name)
        if action is None and not argument.startswith("--") and len(argument) > 2:
            return self._cluster(argument, following)
        if action is None:
            raise self._unknown(name, argument)
        if action.nargs == 0:
            return ([name] if not equals or self._switch(name, value) else []), False
        if equals:
            return [f"{name}={_literal(value)}"], False
        if following is None:
            self.error(f"{name} needs a value")
        return [f"{name}={_literal(following)}"], True

    def _cluster(self, argument: str, following: str | None) -> tuple[list[str], bool]:
        """Short flags in one argument (`-qp1`): the first that takes a value takes the rest of it."""
        found: list[str] = []
        for index, letter in enumerate(argument[1:], start=1):
            name = f"-{letter}"
            action = self._option_string_actions.get(name)
            if action is None:
                raise self._unknown(name if index > 1 else argument, argument)
            if action.nargs == 0:
                found.append(name)
                continue
            rest = argument[index + 1 :].removeprefix("=")
            if rest and action.dest == "directory" and (told := of_key(argument, self._actions)):
                raise self._mistake(f"-C and its folder are two arguments{told}")
            if rest:
                return [*found, f"{name}={_literal(rest)}"], False
            if following is None:
                self.error(f"{name} needs a value")
            return [*found, f"{name}={_literal(following)}"], True
        return found, False

    def _switch(self, name: str, value: str) -> bool:
        if value not in _SWITCH:
            self.error(f"{name} takes no value")
        return _SWITCH[value]

    def _unknown(self, name: str, argument: str) -> RefusedError:
        known = [option for option, action in self._option_string_actions.items() if action.help != SUPPRESS]
        near = did_you_mean(name, known)
        told = "" if near and name.startswith("--") else of_key(argument, self._actions)
        return self._mistake(f"unknown flag {name}{near}{told}")

    def _mistake(self, message: str) -> RefusedError:
        return RefusedError(message, code=Code.USAGE, hint=f"see `{' '.join(['moot help', self.name]).strip()}`")

    def shown_actions(self) -> list[Action]:
        """Its arguments, but for those that no help tells of."""
        return [action for action in self._actions if action.help != SUPPRESS]

    def short_usage(self) -> str:
        """The usage in one line: what has to be there, and that there are flags."""
        words = [self.prog, "[flags]"]
        for action in self._get_positional_actions():
            name = str(action.metavar or action.dest)
            many = f"{name}..." if action.nargs in {"+", "*"} else name
            words.append(f"[{many}]" if action.nargs in {"?", "*"} else many)
        return " ".join(words)

    def parse(self, split: _Split) -> Namespace:
        """Read a sorted argument list.

        Raises:
            RefusedError: something is missing, too much, or not one of its choices.
        """
        return self.parse_args([*split.options, "--", *map(_literal, split.words)] if split.words else split.options)

    def _get_value(self, action: Action, arg_string: str) -> Any:
        return super()._get_value(action, arg_string.removeprefix(_LITERAL))


def _is_flag(argument: str) -> bool:
    return len(argument) > 1 and argument.startswith("-") and argument != "--" and not argument[1:].isdigit()


def _literal(value: str) -> str:
    return _LITERAL + value if value == "--" or value.startswith(_LITERAL) else value


def did_you_mean(typed: str, known: Iterable[str]) -> str:
    """Ends a message about what was typed wrong: the known word that comes near, if any does."""
    bare = {word.lstrip("-"): word for word in known}  # hyphens, which all flags have, make none of them alike
    close = difflib.get_close_matches(typed.lstrip("-"), list(bare), n=1, cutoff=0.6)
    return f"; did you mean {bare[close[0]]}?" if close else ""


def _unknown_command(name: str, known: Iterable[str]) -> RefusedError:
    helped = f"help {name.partition(' ')[0]}" if " " in name else "help"  # of a group, where one was named
    return RefusedError(
        f"unknown command {name!r}{did_you_mean(name, known)}", code=Code.USAGE, hint=f"`moot {helped}` lists them"
    )


class Section(NamedTuple):
    """Commands that stand together in the list of commands."""

    title: str
    commands: Sequence[Command]
    is_of_issues: bool = False
    """Whether they are about a project's issues."""


class Topic(NamedTuple):
    """What there is help on that is no command."""

    title: str
    rows: Sequence[tuple[str, str]]


class Grammar:
    """All commands: finds the one that is meant, and explains them.

    Args:
        sections: the commands.
        elsewhere: what is said of a name that is no command here, by the words that were typed; None for nothing.
        topics: what else there is help on: name → its title and rows of two columns.
    """

    def __init__(
        self,
        sections: Sequence[Section],
        elsewhere: Callable[[Sequence[str]], RefusedError | None] = lambda _: None,
        topics: Mapping[str, Topic] = {},
    ) -> None:
        self._topics = topics
        self._sections = sections
        self._elsewhere = elsewhere
        self._commands = {command.name: command for section in sections for command in section.commands}
        of_issues = (section.commands for section in sections if section.is_of_issues)
        self.of_issues = frozenset(command.name for commands in of_issues for command in commands)
        """The names of the commands that are about a project's issues."""
        self._names = dict(self._commands)
        for command in self._commands.values():
            for alias in command.aliases:
                self._names[alias] = command
        self._groups = {name.split(" ")[0] for name in self._names if " " in name}
        self._parsers: dict[str, CommandParser] = {}
        self._globals = CommandParser("")
        self._globals.take_flags_of_bd()

    def read(self, argv: Sequence[str], renamed: Mapping[str, str] = {}) -> Invocation:
        """What an argument list asks for.

        Args:
            argv: the arguments.
            renamed: commands that go by other names than their own, and which are meant.

        Raises:
            RefusedError: with code `usage`.
        """
        leading = self._globals.split(argv, leading=True)
        if leading.end == len(argv):
            return Invocation(None, Namespace())
        first = argv[leading.end]
        meant = "version" if first in VERSION_FLAGS else renamed.get(first, first)
        if meant != first:
            first, argv = meant, [*argv[: leading.end], meant, *argv[leading.end + 1 :]]
        if _is_flag(first):
            self._globals.split(argv[leading.end : leading.end + 1])
        if first == "help":
            rest = self._globals.split(argv, leading.end + 1)
            return Invocation(None, Namespace(), "" if rest.words == ["help"] else " ".join(rest.words))
        return self._read_command(argv, leading)

    def _read_command(self, argv: Sequence[str], leading: _Split) -> Invocation:
        name, options, end = self._find(argv, leading.end)
        wants_help = leading.wants_help or any(option in HELP_FLAGS for option in options)
        if name not in self._names:
            if wants_help:
                return Invocation(None, Namespace(), name)
            raise self._incomplete(name)
        command = self._names[name]
        parser = self._parser(command)
        split = parser.split(argv, end)
        options = leading.options + options + split.options
        if wants_help or split.wants_help:
            return Invocation(None, Namespace(), command.name)
        try:
            return Invocation(command, parser.parse(split._replace(options=options)))
        except RefusedError as error:
            if command.name in self._groups:  # a subcommand may have been meant
                inside = ", ".join(self._inside(command.name))
                error.hint = f"subcommands of {command.name} are: {inside}; {error.hint}"
            raise

    def _find(self, argv: Sequence[str], position: int) -> tuple[str, list[str], int]:
        """The longest name of a command or group from `position` on, flags inside it, and where it ends.

        Raises:
            RefusedError: there is none.
        """
        first = argv[position]
        if first in self._groups:
            between = self._globals.split(argv, position + 1, leading=True)
            if between.end < len(argv) and f"{first} {argv[between.end]}" in self._names:
                name, end = f"{first} {argv[between.end]}", between.end + 1
                if end < len(argv) and f"{name} {argv[end]}" in self._names:
                    return f"{name} {argv[end]}", between.options, end + 1
                return name, between.options, end
            if first in self._names:
                return first, [], position + 1
            if between.end < len(argv):
                inside = [name for name in self._names if name.startswith(f"{first} ")]
                raise self._unknown(argv[position:], f"{first} {argv[between.end]}", inside)
            return first, between.options, between.end
        if first not in self._names:
            names = [*(name for name in self._names if " " not in name), *self._groups]
            raise self._unknown(argv[position:], first, names)
        return first, [], position + 1

    def _unknown(self, typed: Sequence[str], name: str, known: Iterable[str]) -> RefusedError:
        words = [word for word in typed if not _is_flag(word)]
        return self._elsewhere(words) or _unknown_command(name, known)

    def _incomplete(self, group: str) -> RefusedError:
        return RefusedError(
            f"{group} needs one of: {', '.join(self._inside(group))}", code=Code.USAGE, hint=f"see `moot help {group}`"
        )

    def _inside(self, group: str) -> list[str]:
        """The subcommands of a group, in order, without other names of the same."""
        begin = f"{group} "
        return sorted(
            name.removeprefix(begin)
            for name, command in self._names.items()
            if name.startswith(begin) and (name == command.name or not command.name.startswith(begin))
        )

    def _parser(self, command: Command) -> CommandParser:
        parser = self._parsers.get(command.name)
        if parser is None:
            parser = CommandParser(command.name)
            command.arguments(parser)
            parser.take_flags_of_bd()
            self._parsers[command.name] = parser
        return parser

    def described(self) -> list[Described]:
        """Every command, for completion and manual pages."""
        return [self._described(command) for command in self._commands.values()]

    @staticmethod
    def _described(command: Command) -> Described:
        parser = CommandParser(command.name)
        command.arguments(parser)
        shown = parser.shown_actions()
        flags = tuple(
            Flag(tuple(action.option_strings), "" if action.nargs == 0 else _value_of(action), _help_of(action))
            for action in shown
            if action.option_strings
        )
        words = tuple((_value_of(action), _help_of(action)) for action in shown if not action.option_strings)
        return Described(
            command.name, command.aliases, command.help, parser.short_usage(), flags, words, command.examples
        )

    def help(self, topic: str, program: str, width: int, *, wraps: bool = True) -> str:
        """Help on a command, a group of commands, a topic, or everything.

        Args:
            topic: which; empty for everything.
            program: the name it was called by.
            width: columns.
            wraps: whether lists keep to the width; else each entry is one line, as programs like it.

        Raises:
            RefusedError: there is no such topic.
        """
        across = width if wraps else 0
        if not topic:
            return self._overview(program, across)
        if topic in self._topics:
            return f"{_folded(self._topics[topic].title, across)}\n\n{_rows(self._topics[topic].rows, across)}"
        inside = [command for name, command in self._names.items() if name.startswith(f"{topic} ")]
        if topic in self._names:
            text = _command_help(self._names[topic], program, width)
            return f"{text}\nsee also:\n{_listing(inside, across)}" if inside else text
        if topic in self._groups:
            return f"{program} {topic}\n\n{_listing(inside, across)}\n`{program} help {topic} COMMAND` explains one.\n"
        raise self._unknown(topic.split(), topic, [*self._names, *self._groups, *self._topics])

    def _overview(self, program: str, width: int) -> str:
        parts = [f"usage: {program} COMMAND [flags]\n"]
        parts.extend(f"{section.title}:\n{_listing(section.commands, width)}" for section in self._sections)
        if self._topics:
            told = _rows([(name, topic.title) for name, topic in self._topics.items()], width)
            parts.append(f"Other help:\n{told}")
        ending = f"`{program} help COMMAND` explains one. --json works with every command."
        parts.append(f"{_folded(ending, width)}\n")
        return "\n".join(parts)


def _value_of(action: Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    return "|".join(map(str, action.choices)) if action.choices else action.dest.upper()


def _help_of(action: Action) -> str:
    return (action.help or "").replace("%%", "%")


def _listing(commands: Sequence[Command], width: int) -> str:
    return _rows([(command.name, command.help) for command in commands], width)


def _rows(rows: Sequence[tuple[str, str]], width: int) -> str:
    """Names and what they are, in two columns, wrapped to so many columns; 0: not at all."""
    widest = max(len(name) for name, _ in rows)
    begins = " " * (widest + 4)
    least = len(begins) + LEAST_FLEXIBLE
    return "".join(
        f"{_folded(f'  {name:<{widest}}  {told}', width and max(width, least), begins)}\n" for name, told in rows
    )


def _folded(text: str, width: int, indent: str = "") -> str:
    """A paragraph in lines of so many columns, but for the first indented; 0: in one."""
    if not width:
        return text
    return textwrap.fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _command_help(command: Command, program: str, width: int) -> str:
    """Examples, then usage, then flags. Built afresh: its width is the asker's."""
    parser = CommandParser(command.name, prog=program, width=max(40, width - 2))
    command.arguments(parser)
    parser.usage = parser.short_usage().replace("%", "%%")
    lines = [f"{_folded(command.help, width)}\n"]
    if command.examples:
        lines.append("examples:")
        lines.extend(f"  {example.replace('moot ', f'{program} ')}" for example in command.examples)
        lines.append("")
    if command.aliases:
        lines.append(f"also called: {', '.join(command.aliases)}\n")
    return "\n".join(lines) + "\n" + parser.format_help()


def comma_separated(values: Sequence[str] | None) -> tuple[str, ...]:
    """The elements of a flag that may be repeated and hold several separated by commas; blanks dropped, order kept.

    An element in double quotes is taken as it is, commas with it, two quotes inside for one: as `bd` reads them.
    """
    parts = (part for value in values or () for part in _parts(value))
    return tuple(dict.fromkeys(part for part in parts if part))


def _parts(value: str) -> Iterator[str]:
    if '"' not in value:
        yield from map(str.strip, value.split(","))
        return
    for found in _PART.finditer(value):
        quoted, plain = found.groups()
        yield plain.strip() if quoted is None else quoted.replace('""', '"')
