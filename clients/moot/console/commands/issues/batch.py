"""batch: a script of writing commands, one a line, carried out all or nothing in one commit.

Lines are read as the command line would read them, words in quotes staying together; `$3` names the issue that the
third line created. Line numbers are those of the file, in references and in errors alike. The whole script is read
and understood before anything is sent, so that a mistake in the last line costs nothing, nor does a script too long.
"""

import re
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from moot.console.arguments.issue_fields import reads_stdin
from moot.console.command import Command, Context
from moot.console.commands.issues import claims, edges, lifecycle, write
from moot.console.commands.issues.write import Labelled
from moot.console.context import TEXT_READ_BYTES, answer, read_text, script_step, tell_place
from moot.console.grammar import Grammar, Section, did_you_mean
from moot.console.lines.confirm import confirmed, finished_among, finished_lines
from moot.console.text.amounts import size
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.limits import SCRIPT_STEPS
from moot_protocol.requests.issues import Create, Script

_TOKEN: Final = re.compile(r"""'(?P<single>[^']*)'(?=\s|$)|(?P<mixed>(?:[^\s"]|"(?:[^"\\]|\\.)*")+)|(?P<stray>\S)""")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED: Final = re.compile(r'\\(["\\])')
_REFERENCE: Final = re.compile(r"\$(\d{1,9})")
_KEY_VALUE: Final = re.compile(r"(status|priority|title|assignee)=(.*)", re.DOTALL)
_PRIORITY_WORD: Final = re.compile(r"[Pp]?[0-4]")
_TOO_LONG: Final = "split it: each part is all or nothing by itself; `moot import` takes issues in bulk"


class _Line(NamedTuple):
    number: int
    name: str
    """The command's."""
    steps: list[dict[str, Any]]


# -- Reading -----------------------------------------------------------------------------------------------------
def tokens(line: str) -> list[str]:
    r"""The words of a line. Double quotes hold spaces, and `\"` and `\\` inside them; so do single ones around a word.

    Raises:
        RefusedError: a quote is not closed.
    """
    found = []
    for match in _TOKEN.finditer(line):
        if match["stray"] is not None:
            raise RefusedError("a quote is not closed", code=Code.USAGE, hint='write " inside quotes as \\"')
        if match["single"] is not None:
            found.append(match["single"])
        else:
            found.append(_QUOTED.sub(lambda quoted: _ESCAPED.sub(r"\1", quoted[1]), match["mixed"]))
    return found


def _create_words(words: Sequence[str]) -> list[str]:
    """`create TYPE PRIORITY TITLE…` as `bd batch` writes it; else as it stands."""
    plain = list(words)
    if len(plain) >= 3 and not any(word.startswith("-") for word in plain) and _PRIORITY_WORD.fullmatch(plain[1]):
        return [f"--type={plain[0]}", f"--priority={plain[1]}", "--", " ".join(plain[2:])]
    return plain


def _update_words(words: Sequence[str]) -> list[str]:
    """`update ID KEY=VALUE…` as `bd batch` writes it, turned into flags."""
    return [f"--{pair[1]}={pair[2]}" if (pair := _KEY_VALUE.fullmatch(word)) else word for word in words]


def _close_words(words: Sequence[str]) -> list[str]:
    """`close ID REASON…` as `bd batch` writes it, turned into a flag."""
    if len(words) < 2 or any(word.startswith("-") for word in words):
        return list(words)
    return [words[0], f"--reason={' '.join(words[1:])}"]


def _dep_words(words: Sequence[str]) -> list[str]:
    """`dep add FROM TO TYPE` as `bd batch` writes it, turned into a flag."""
    if len(words) != 4 or any(word.startswith("-") for word in words):
        return list(words)
    return [*words[:3], f"--type={words[3]}"]


def _lone(name: str, words: list[str]) -> list[str]:
    rewrite = _REWRITES.get(name)
    return [name, *rewrite(words[1:])] if rewrite else words


_REWRITES: Final[dict[str, Callable[[Sequence[str]], list[str]]]] = {
    "create": _create_words,
    "new": _create_words,
    "update": _update_words,
    "close": _close_words,
    "done": _close_words,
    "dep": _dep_words,
}
_TAKEN: Final = (
    write.CREATE,
    write.UPDATE,
    claims.CLAIM,
    lifecycle.CLOSE,
    edges.ADD_EDGE,
    edges.REMOVE_EDGE,
    edges.ADD_LABEL,
    edges.REMOVE_LABEL,
    edges.COMMENT,
)
"""The commands that a script may hold."""
_NAMES: Final = tuple(command.name for command in _TAKEN)


def _not_taken(words: Sequence[str]) -> RefusedError:
    """The refusal of a command that a script can't hold, or that there is none of."""
    is_grouped = any(name.startswith(f"{words[0]} ") for name in _NAMES)
    name = " ".join(words[:2]) if is_grouped else words[0]
    message = f"{name} is no part of a script{did_you_mean(name, _NAMES)}"
    return RefusedError(message, code=Code.USAGE, hint=f"a script takes {', '.join(_NAMES)}")


_GRAMMAR: Final = Grammar([Section("batch", _TAKEN)], _not_taken)
_ALONE: Final = ("file", "graph", "claim_next", "suggest_next", "confirm")
"""Flags that make more of a command than one mutation."""
_PLANS: Final[dict[str, Callable[[Context], list[Labelled]]]] = {
    "update": write.update_mutations,
    "claim": claims.claim_mutations,
    "close": lambda context: lifecycle.close_mutations(context, lifecycle.close_reasons(context)),
    "dep add": edges.add_edge_mutations,
    "dep remove": edges.remove_edge_mutations,
    "label add": lambda context: edges.label_mutations(context, adding=True),
    "label remove": lambda context: edges.label_mutations(context, adding=False),
    "comment": edges.comment_mutations,
}


def _read_script(context: Context, source: str) -> Iterator[_Line]:
    made: dict[int, int] = {}
    steps = 0
    for number, text in enumerate(source.split("\n"), start=1):
        stripped = text.strip()
        if not stripped or stripped.startswith("#"):
            continue
        try:
            line = _read_line(context, number, stripped)
            if line.name == "create":
                made[number] = steps + 1
            line.steps[:] = [_renumbered(step, made) for step in line.steps]
        except MootError as error:
            raise RefusedError(
                f"line {number}: {error.message}", code=error.code, hint=error.hint, retryable=error.retryable
            ) from error
        steps += len(line.steps)
        if steps > SCRIPT_STEPS:
            reached = f"line {number}: a script makes at most {SCRIPT_STEPS:,} changes, and here there are more"
            raise RefusedError(reached, code=Code.LIMIT, hint=_TOO_LONG)
        yield line


def _read_line(context: Context, number: int, text: str) -> _Line:
    words = tokens(text)
    invocation = _GRAMMAR.read(_lone(words[0], words))
    command, arguments = invocation.command, invocation.arguments
    if command is None:
        raise RefusedError("help is no part of a script", code=Code.USAGE)
    if reads_stdin(arguments):
        raise RefusedError("standard input is the script's own", code=Code.USAGE, hint="name a file instead")
    alone = [name for name in _ALONE if getattr(arguments, name, None)]
    if alone:
        raise RefusedError(f"--{alone[0].replace('_', '-')} is no part of a script", code=Code.USAGE)
    inner = context._replace(arguments=arguments, actor=arguments.actor or context.actor)
    planned = write.create_mutations(inner, f"${number}") if command is write.CREATE else _PLANS[command.name](inner)
    _check_whole(context, planned)
    return _Line(number, command.name, [script_step(mutation, f"line {number}") for _, mutation in planned])


def _renumbered(params: dict[str, Any], made: dict[int, int]) -> dict[str, Any]:
    """A step, or a part of one, with `$LINE` in places of ids turned into `$STEP`."""
    return {key: _renumbered_value(key, value, made) for key, value in params.items()}


def _renumbered_value(key: str, value: Any, made: dict[int, int]) -> Any:
    if isinstance(value, dict):
        return _renumbered(value, made) if key in {"params", "edge"} else value
    if key == "edges":
        return [_renumbered(edge, made) for edge in value]
    reference = _REFERENCE.fullmatch(value) if key in {"id", "to", "parent"} and isinstance(value, str) else None
    if reference is None:
        return value
    line = int(reference[1])
    if line not in made:
        raise RefusedError(f"{value} names no issue: line {line} is no line before that creates one", code=Code.USAGE)
    return f"${made[line]}"


def _check_whole(context: Context, planned: Sequence[Labelled]) -> None:
    """What the script has once for all its lines can't differ in one of them."""
    for _, mutation in planned:
        if mutation.actor != context.actor:
            raise RefusedError("one script has one actor", code=Code.USAGE, hint="give --actor to `moot batch`")
        if mutation.dry_run:
            raise RefusedError("a dry run is for the whole script", code=Code.USAGE, hint="`moot batch --dry-run`")


# -- Carrying out ------------------------------------------------------------------------------------------------
def _batch_arguments(parser: ArgumentParser) -> None:
    holds = f"{', '.join(_NAMES)}; at most {SCRIPT_STEPS:,} changes and {size(TEXT_READ_BYTES)}"
    parser.add_argument("-f", "--file", default="-", metavar="FILE", help=f"the script, else stdin; it takes {holds}")
    parser.add_argument("-m", "--message", help="accepted for bd's sake: events tell what was done")
    parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")


def _source(context: Context) -> str:
    try:
        return read_text(context, context.arguments.file)
    except RefusedError as error:
        if error.code is not Code.LIMIT:
            raise
        raise RefusedError(error.message, code=error.code, hint=_TOO_LONG) from error


def _batch(context: Context) -> int:
    lines = list(_read_script(context, _source(context)))
    steps = tuple(step for line in lines for step in line.steps)
    dry_run = context.arguments.dry_run
    answers = context.api.call(Script(actor=context.actor, dry_run=dry_run, steps=steps)) if steps else []
    results = list(_results(lines, answers))
    document = {"operations": len(results), "status": "ok", "results": results} | finished_among(answers)
    done = "would be committed" if dry_run else "committed"
    head = confirmed(context, f"batch: {len(results)} operations {done}")
    rest = (f"  line {each['line']}: {each['op']} {neutralise(each['target'])}" for each in results)
    answer(context, document | ({"dry_run": True} if dry_run else {}), [head, *rest, *finished_lines(context, answers)])
    tell_place(context, _named(steps))
    return 0


def _named(steps: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The issues that steps change and that were there before."""
    for step in steps:
        name = str(step["params"].get("id", ""))
        if step["method"] != Create.method and not _REFERENCE.fullmatch(name) and name:
            yield name


def _results(lines: Sequence[_Line], answers: Sequence[Any]) -> Iterator[dict[str, Any]]:
    place = 0
    for line in lines:
        own = answers[place : place + len(line.steps)]
        place += len(line.steps)
        if line.name == "create":
            own = own[:1]
        yield {"line": line.number, "op": line.name, "target": " ".join(_target(each) for each in own)}


def _target(answered: dict[str, Any]) -> str:
    if "depends_on_id" in answered:
        return f"{answered['issue_id']}->{answered['depends_on_id']}"
    return str(answered.get("issue_id") or answered["id"])


COMMANDS: Final = (
    Command(
        "batch",
        "Run writing commands from stdin, all or nothing",
        _batch_arguments,
        _batch,
        examples=(
            'printf \'create "One" -p 1\\ncreate "Two"\\ndep add $2 $1\\n\' | moot batch',
            "moot batch -f plan.txt --dry-run",
        ),
    ),
)
