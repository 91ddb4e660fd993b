"""Forked feeds: fork list (what each of two histories does), fork settle (which of them counts)."""

from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from moot.console import exits
from moot.console.command import Command, Context, key_argument, plane_argument
from moot.console.context import answer, answer_list, note
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed
from moot.console.lines.exchange import KEY_SHOWN
from moot.console.lines.membership import no_epoch_told
from moot.console.text import when
from moot.console.text.amounts import several
from moot.console.text.style import Style
from moot_protocol.ids import key_word
from moot_protocol.requests.membership import Forks, SettleFork

BRANCH_SHOWN: Final = 8
"""Digits shown of a history's name."""
_WITH_CHARTER: Final = "recovery with charter"
_SETTLING: Final[Mapping[str, str]] = {
    "town": "the machine that has its town's key decides with `{program} fork settle --branch NAME {key}`",
    "admin": "an admin's town above it decides with `{program} fork settle --branch NAME {key}`",
    "recovery": "only the recovery words settle a founder's charter: `{program} recover --plane {plane}`, on a machine "
    "of a town that is to take its place",
    _WITH_CHARTER: "only the recovery words settle it, together with its town's charter: `{program} recover --plane "
    "{plane} --branch NAME`",
    "nobody": "the recovery key stands above all, so nothing settles it; found a new plane and take the issues along",
}
_UNHELD: Final = (
    "Of another history only a proof is here, so it isn't known what it holds; that counts no more, unless the machine "
    "that wrote it writes it anew: `{program} salvage`"
)
_NO_TOWN: Final = "A" * 43
"""32 zeros, as an invite has them that lets in any town."""


# -- fork list ---------------------------------------------------------------------------------------------------
def _list(context: Context) -> int:
    forks = context.api.call(Forks(plane=context.arguments.plane))
    answer_list(context, forks, lambda style: _fork_lines(style, forks, context.now_ms), "no feed is forked")
    if not context.json and any(not fork["is_settled"] for fork in forks):
        _say_who_settles(context, [fork for fork in forks if not fork["is_settled"]])
    return exits.OK


def _say_who_settles(context: Context, forks: Sequence[Mapping[str, Any]]) -> None:
    program = context.terminal.facts.program
    for fork in forks:
        whom, plane = lines.text_of(fork, "author")[:KEY_SHOWN], lines.text_of(fork, "plane")
        by = _WITH_CHARTER if (fork["kind"], fork["settled_by"]) == ("replica", "recovery") else str(fork["settled_by"])
        told = _SETTLING[by].format(program=program, plane=plane, key=key_word(whom))
        note(context, f"{whom} on plane {plane}: {told}; until then neither counts")


def _fork_lines(style: Style, forks: Sequence[Mapping[str, Any]], now_ms: int) -> list[str]:
    return [line for fork in forks for line in _shown(style, fork, now_ms)]


def _shown(style: Style, fork: Mapping[str, Any], now_ms: int) -> Iterator[str]:
    what = f"the {fork['kind']} {lines.text_of(fork, 'author')[: KEY_SHOWN if style.terminal else None]}"
    of = f" of {lines.text_of(fork, 'town_name')}" if fork["town_name"] else ""
    state = "settled" if fork["is_settled"] else style.alarm("not settled")
    yield f"{lines.text_of(fork, 'plane')}: {what}{of} has two histories from event {fork['first']:,} on, {state}"
    for branch in fork["branches"]:
        mark = ", counts" if branch["counts"] else ", counted here before" if branch.get("counted") else ""
        yield f"  {lines.text_of(branch, 'branch')[:BRANCH_SHOWN]}: {several(branch['events'], 'event')}{mark}"
        for event in branch["does"]:
            moment = when.age(event["at_ms"], now_ms)
            who = lines.text_of(event, "actor") or "-"
            yield f"    {event['n']:,}. {_does(fork['kind'], event)} {style.faint(f'({who}, {moment})')}"
        if branch["more"]:
            yield f"    and {several(branch['more'], 'event')} more"
    if len(fork["branches"]) < 2:
        yield "  of the other only a proof is here: `moot sync --wait` may bring it"


def _does(kind: str, event: Mapping[str, Any]) -> str:
    """What an event does, in words."""
    says, about = event["says"], lines.text_of(event, "about")
    if kind != "charter":
        return f"writes {lines.text_of(says, 'keys')} of {lines.text_of(event, 'kind')} {about}"
    told = _SAYS.get(str(event["kind"]), _says_nothing)(about[:KEY_SHOWN], says)
    return told or f"says something of no effect ({lines.text_of(event, 'kind')} {about[:KEY_SHOWN]})"


def _says_nothing(key: str, says: Mapping[str, Any]) -> str:
    del key, says
    return ""


def _admits(key: str, says: Mapping[str, Any]) -> str:
    return f"admits town {lines.text_of(says, 'name')} {key} as {lines.text_of(says, 'role')}" if says else ""


def _ends(key: str, says: Mapping[str, Any]) -> str:
    if not says:
        return ""
    return f"ends {key} at its event {says['n']:,}" if says["n"] else f"ends {key} at nothing"


def _invites(key: str, says: Mapping[str, Any]) -> str:
    if "counting" in says:
        return f"closes invite {key}: {several(len(says['counting']), 'user')} of it count"
    if "role" not in says:
        return ""
    whom = "any town" if says["town"] == _NO_TOWN else f"those of {lines.text_of(says, 'town')[:KEY_SHOWN]}"
    return f"makes invite {key} for {whom}, as {lines.text_of(says, 'role')}"


_SAYS: Final[Mapping[str, Callable[[str, Mapping[str, Any]], str]]] = {
    "admission": _admits,
    "end": _ends,
    "invite": _invites,
    "epoch": lambda epoch, _: f"changes the plane's key: epoch {epoch}",
    "charter": lambda *_: "opens the charter",
    "genesis": lambda *_: "founds the plane",
}
"""What each kind of a charter's events does, in words; empty for those that have no effect."""


# -- fork settle -------------------------------------------------------------------------------------------------
def _settle_arguments(parser: ArgumentParser) -> None:
    key_argument(parser, "key", metavar="KEY", told="of the town or replica, or the beginning of it")
    parser.add_argument("--branch", required=True, metavar="NAME", help="the history that is to count, by its name")
    parser.add_argument("--plane", default="", metavar="PLANE", help="where the key is forked on several planes")
    parser.add_argument(
        "--without", action="append", default=[], metavar="REPLICA", help="a machine of that town that isn't its own"
    )
    parser.add_argument(
        "--drop",
        action="store_true",
        help="although more goes than the other history: what waits for the clock, or is of a machine of that town",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would count")


def _settle(context: Context) -> int:
    given = context.arguments
    done = context.api.call(
        SettleFork(
            actor=context.actor,
            author=given.key,
            branch=given.branch,
            plane=given.plane,
            without=tuple(given.without),
            drop=given.drop,
            dry_run=given.dry_run,
        )
    )
    answer(context, done, _settled(context, done))
    if done["kind"] == "charter":
        note(context, "With that its town is removed: nothing more of it counts. To go on, it needs a new key")
        note(context, f"(`{context.terminal.facts.program} town rotate-key` there) and an invite")
    if done["dropped"] is None:
        note(context, _UNHELD.format(program=context.terminal.facts.program))
    elif done["dropped"]:
        note(context, _dropped(context, done["dropped"]))
    for told in no_epoch_told([done]):
        note(context, told)
    return exits.OK


def _dropped(context: Context, count: int) -> str:
    """What goes with the history that doesn't count, and how it is brought back."""
    them, verb = ("it", "counts") if count == 1 else ("them", "count")
    no_more = "would count no more" if context.arguments.dry_run else f"{verb} no more"
    salvage = f"`{context.terminal.facts.program} salvage` on the machine that wrote {them}, after that,"
    return (
        f"{several(count, 'event')} of another history, written nowhere else, {no_more}; {salvage} writes {them} anew"
    )


def _settled(context: Context, done: Mapping[str, Any]) -> Iterator[str]:
    author, branch = lines.text_of(done, "author")[:KEY_SHOWN], lines.text_of(done, "branch")[:BRANCH_SHOWN]
    told = f"{author} counts up to event {done['n']:,} of history {branch}"
    if context.arguments.dry_run:
        yield f"Would settle it: {told}"
    else:
        yield confirmed(context, f"On plane {lines.text_of(done, 'plane')} {told}")
    for replica in done["replicas"]:
        yield f"  with replica {str(replica)[:KEY_SHOWN]}, as far as it had come"
    if done["epoch"]:
        yield f"  New epoch {lines.text_of(done, 'epoch')}"


COMMANDS: Final = (
    Command(
        "fork list",
        "Keys that have signed two histories, and what each history does",
        plane_argument,
        _list,
        alone=True,
        examples=("moot fork list", "moot fork list --plane ledger --json"),
    ),
    Command(
        "fork settle",
        "Say which history of a forked key counts; a town whose charter it is is removed with that",
        _settle_arguments,
        _settle,
        examples=("moot fork settle AakSBlMT --branch 4f2a91c0 --dry-run",),
        alone=True,
    ),
)
