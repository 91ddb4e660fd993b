"""What programs of Beads' world call to keep a database in order, where there is nothing to be done about it here.

Invariant: nothing here changes anything, every answer is true, and each ends well: callers take a failure of their
housekeeping for a broken tracker.
"""

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any, Final

from moot.console import as_bd, exits
from moot.console.arguments.filters import projects_of
from moot.console.command import Command, Context, no_arguments
from moot.console.context import answer, need_project
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot_protocol.requests.issues import Stats
from moot_protocol.requests.machine import Ping, Status

KEPT: Final = "the log is kept whole, and closed issues are in no list unless asked for"
"""Why nothing is taken away."""
_SAKE: Final = "accepted for bd's sake: it changes nothing here"


def _taking(*flags: str, values: tuple[str, ...] = (), words: bool = False) -> Callable[[ArgumentParser], None]:
    """Arguments that are taken, so that callers work; several names of one flag are divided by a space."""

    def arguments(parser: ArgumentParser) -> None:
        for flag in flags:
            parser.add_argument(*flag.split(), action="store_true", help=_SAKE)
        for flag in values:
            parser.add_argument(*flag.split(), help=_SAKE)
        if words:
            parser.add_argument("words", nargs="*", metavar="WORD", help=_SAKE)

    return arguments


def _saying(sentence: str, **document: Any) -> Callable[[Context], int]:
    """A command that says a sentence, and with `--json` a document that holds it."""

    def run(context: Context) -> int:
        answer(context, document | {"message": sentence}, [sentence])
        return exits.OK

    return run


# -- gc, compact -------------------------------------------------------------------------------------------------
def _gc(context: Context) -> int:
    phases = [{"name": name, "skipped": True, "detail": KEPT} for name in ("Decay", "Compact", "Dolt GC")]
    told = f"Nothing to collect: {KEPT}; `{context.terminal.facts.program} prune` deletes old ones"
    answer(context, {"dry_run": context.arguments.dry_run, "elapsed_ms": 0, "phases": phases}, [told])
    return exits.OK


_COMPACT_FLAGS: Final = ("--all", "--analyze", "--apply", "--auto", "--dolt", "--dry-run", "-f --force")
_COMPACT_VALUES: Final = (
    "--batch-size", "--days", "--id", "--limit", "--summary", "--tier", "--workers", "--older-than",
)  # fmt: skip


def _compact_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--stats", action="store_true", help="how many closed issues there are")
    _taking(*_COMPACT_FLAGS, values=_COMPACT_VALUES)(parser)


def _compact(context: Context) -> int:
    closed = context.api.call(Stats(projects=projects_of(context)))["closed"]
    document = {"total_closed": closed, "tier1_candidates": 0, "tier2_candidates": 0}
    counted = f"{several(closed, 'closed issue')}; none is to be compacted"
    if context.arguments.stats:
        answer(context, document, [counted])
    else:
        document |= {"compacted": 0, "candidates": 0}
        answer(context, document, [f"Nothing to compact: texts stay as they were written; {counted}"])
    return exits.OK


# -- The daemon in the place of a Dolt server --------------------------------------------------------------------
def _server(context: Context) -> int:
    pid = context.api.call(Ping())["pid"]
    document = {"running": False, "needed": False, "daemon_running": True, "daemon_pid": pid}
    answer(context, document, [f"No Dolt server is needed here: Moot's daemon runs as process {pid}"])
    return exits.OK


def _server_facts(context: Context) -> int:
    """Callers ask whether there is a server to speak SQL to: what Beads calls embedded has none."""
    pong = context.api.call(Ping())
    document = {
        "backend": "moot",
        "mode": "embedded",
        "embedded": True,
        "database": context.project,
        "data_dir": pong["data"],
        "connection_ok": True,
        "shared_server": False,
    }
    told = [f"{name.replace('_', ' ')}: {neutralise(str(value))}" for name, value in document.items()]
    answer(context, document, told)
    return exits.OK


# -- vc status, bootstrap ----------------------------------------------------------------------------------------
def _vc_status(context: Context) -> int:
    planes = context.api.call(Status()).get("planes", [])
    digest = next((str(each["digest"]) for each in planes if each.get("plane") == context.plane), "")
    document = {"branch": "main", "commit": digest, "uncommitted": False}
    told = "Nothing to commit: every write is committed when it is answered, and there are no branches"
    answer(context, document, [told, *([f"  digest: {neutralise(digest)}"] if digest else [])])
    return exits.OK


def _bootstrap(context: Context) -> int:
    project = need_project(context)
    answer(
        context,
        {"project": project, "action": "none"},
        [f"Nothing to bootstrap: project {neutralise(project)} is on this machine"],
    )
    return exits.OK


def _upgrade(context: Context) -> int:
    document = {"upgraded": False, "current_version": as_bd.VERSION, "acknowledged": True}
    answer(context, document, ["Nothing to review: which release was run before isn't tracked"])
    return exits.OK


_FLATTEN: Final = f"Nothing to flatten: {KEPT}"
_RECOMPUTE: Final = "Nothing to recompute: readiness is kept in every write"
_METRICS: Final = "Nothing is measured, and nothing is sent anywhere"
_ONE_STORE: Final = "Nothing to clean: there is one store for all of a user's projects"
_DRY: Final = "--dry-run"

COMMANDS: Final = (
    Command("gc", "For programs that know bd: there is nothing to collect",
            _taking(_DRY, "-f --force", "--skip-decay", "--skip-dolt", values=("--older-than",)), _gc,
            examples=("moot gc --dry-run  # says that nothing is to be collected",)),
    Command("compact", "Count closed issues; nothing is compacted", _compact_arguments, _compact,
            aliases=("admin compact",),
            examples=("moot compact --stats",)),
    Command("flatten", "For programs that know bd: there is nothing to flatten", _taking(_DRY, "-f --force"),
            _saying(_FLATTEN, flattened=False),
            examples=("moot flatten --dry-run",)),
    Command("recompute-blocked", "For programs that know bd: there is nothing to recompute", _taking(_DRY),
            _saying(_RECOMPUTE, recomputed=0), alone=True,
            examples=("moot recompute-blocked",)),
    Command("dolt status", "For programs that know bd: whether what serves the issues runs", no_arguments, _server,
            aliases=("dolt start", "dolt stop", "dolt test", "dolt killall"), alone=True,
            examples=("moot dolt status  # whether the daemon runs", "moot dolt status --json")),
    Command("dolt show", "For programs that know bd: there is no server to speak SQL to", no_arguments, _server_facts,
            examples=("moot dolt show --json",)),
    Command("dolt clean-databases", "For programs that know bd: there is one store", _taking(_DRY),
            _saying(_ONE_STORE, cleaned=0), alone=True,
            examples=("moot dolt clean-databases --dry-run",)),
    Command("vc status", "For programs that know bd: nothing is left to be committed", no_arguments, _vc_status,
            examples=("moot vc status", "moot vc status --json")),
    Command("bootstrap", "For programs that know bd: whether this machine has the folder's project",
            _taking(_DRY, "-y --yes", "--non-interactive"), _bootstrap,
            examples=("moot bootstrap --dry-run",)),
    Command("upgrade status", "For programs that know bd: there is nothing to review", no_arguments, _upgrade,
            aliases=("upgrade review", "upgrade ack"), alone=True,
            examples=("moot upgrade status",)),
    Command("metrics", "For programs that know bd: nothing is sent anywhere", _taking(words=True),
            _saying(_METRICS, enabled=False), alone=True,
            examples=("moot metrics",)),
)  # fmt: skip
"""The commands of this module."""
