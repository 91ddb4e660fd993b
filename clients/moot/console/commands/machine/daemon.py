"""The daemon and this machine: daemon run|start|stop|restart|logs|status|list|health, status, version.

These commands run inside the daemon, so that one is running is given: `daemon start` says which, and `daemon run`,
which the client does itself where none is there, is refused. The client does `restart` and `logs` itself, too.
"""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any, Final

from moot.console import as_bd, documents, exits
from moot.console.command import Command, Context, no_arguments
from moot.console.commands.machine.spools import spool_words
from moot.console.context import answer, folder_around, is_of_workspace, workspace_folder
from moot.console.lines.confirm import confirmed
from moot.console.lines.exchange import alarm_lines, mode_words, modes_of, remote_words
from moot.console.text import when
from moot.console.text.amounts import several, size
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style, style_of
from moot.console.text.table import aligned
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.machine import Ping, Status, Stop

DIGEST_SHOWN: Final = 16
"""Characters shown of a digest: enough to compare by eye."""


# -- daemon ------------------------------------------------------------------------------------------------------
def _daemon_run(context: Context) -> int:
    pong = context.api.call(Ping())
    raise RefusedError(
        f"a daemon runs already, as process {pong['pid']}",
        code=Code.CONFLICT,
        hint="one daemon serves every folder; `moot daemon status` tells of it",
    )


def _daemon_status(context: Context) -> int:
    pong = context.api.call(Ping())
    uptime = when.lasted(pong["uptime_ms"])
    line = f"The daemon runs as process {pong['pid']} since {uptime}, version {neutralise(pong['version'])}"
    document = {"running": True, "status": "healthy", "uptime_seconds": pong["uptime_ms"] / 1000, **pong}
    places = [f"  data: {neutralise(pong['data'])}", f"  config file: {neutralise(pong['config_file'])}"]
    answer(context, document, [line, *places])
    return exits.OK


_FLAGS_OF_BD: Final = (
    "--status",
    "--health",
    "--start",
    "--stop",
    "--auto-commit",
    "--auto-push",
    "--auto-pull",
    "--local",
)


def _daemon_arguments(parser: ArgumentParser) -> None:
    for flag in _FLAGS_OF_BD:
        parser.add_argument(flag, action="store_true", help="accepted for bd's sake: earlier releases said it so")
    parser.add_argument("--interval", "--log", metavar="VALUE", help="accepted for bd's sake")


def _workspaces_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--search", action="append", metavar="FOLDER", help="accepted for bd's sake: there is one")
    parser.add_argument("--no-cleanup", action="store_true", help="accepted for bd's sake")


def _log_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("-n", "--lines", default="50", metavar="N", help="so many lines at the end (default 50)")


def _daemon_entry(context: Context) -> dict[str, Any]:
    """The daemon as `bd` tells of one of many."""
    pong = context.api.call(Ping())
    folder = context.terminal.facts.folder
    return {
        "workspace": folder,
        "workspace_path": folder,
        "socket_path": "",
        "pid": pong["pid"],
        "version": pong["version"],
        "uptime_seconds": pong["uptime_ms"] / 1000,
        "alive": True,
        "status": "healthy",
    }


def _daemon_list(context: Context) -> int:
    entry = _daemon_entry(context)
    told = f"One daemon serves every folder: process {entry['pid']}, version {neutralise(str(entry['version']))}"
    answer(context, [entry], [told])
    return exits.OK


def _daemon_health(context: Context) -> int:
    entry = _daemon_entry(context)
    counts = {"total": 1, "healthy": 1, "stale": 0, "mismatched": 0, "unresponsive": 0}
    told = f"The daemon is healthy: process {entry['pid']}, version {neutralise(str(entry['version']))}"
    answer(context, counts | {"daemons": [entry]}, [told])
    return exits.OK


def _daemon_stop(context: Context) -> int:
    context.api.call(Stop())
    answer(context, {"stopping": True}, [confirmed(context, "The daemon finishes what it has begun and ends")])
    return exits.OK


def _version(context: Context) -> int:
    pong = context.api.call(Ping())
    own = f"{neutralise(str(pong['version']))} (protocol {pong['protocol']})"
    document = {"version": pong["version"], "protocol": pong["protocol"]}
    if context.terminal.facts.is_bd:
        # Callers compare it with the least release of Beads that they can work with.
        document |= {"version": as_bd.VERSION, "build": "moot", "moot_version": pong["version"]}
        answer(context, document, [f"bd version {as_bd.VERSION} (moot {own})"])
        return exits.OK
    answer(context, document, [f"moot version {own}"])
    return exits.OK


# -- status ------------------------------------------------------------------------------------------------------
def _status(context: Context) -> int:
    status = context.api.call(Status())
    if _was_moved(context, status):
        workspace_folder(context)  # notes it, and tells of it
        status = context.api.call(Status())
    if context.json:
        documents.write(context, status)
        return exits.OK
    style = style_of(context.terminal.facts)
    answer(context, status, [_sentence(status), *_alarms(style, status), *_facts(style, status, context.now_ms)])
    return exits.OK


def _was_moved(context: Context, status: dict[str, Any]) -> bool:
    """Whether the client's workspace lies in a folder that no project is known in, and in none of those known."""
    folders = {str(project.get("folder", "")) for project in status.get("projects", [])} - {""}
    if not folders or not context.terminal.facts.workspace:
        return False
    found = folder_around(context)
    return found not in {"", *folders} and not any(is_of_workspace(context, folder) for folder in sorted(folders))


def _sentence(status: dict[str, Any]) -> str:
    planes = status.get("planes", [])
    issues, deleted, events = (sum(plane.get(name, 0) for plane in planes) for name in ("issues", "deleted", "events"))
    gone = f" and {deleted:,} deleted" if deleted else ""
    held = f"This replica holds {several(issues, 'issue')}{gone} in {several(events, 'event')}"
    if not status.get("replica"):
        held = "Nothing is set up on this machine yet: `moot init` in a project's folder, or `moot join` with a ticket"
    waiting = sum(alarm.get("code") == "waiting" for alarm in status.get("alarms", []))
    warnings = sum(alarm.get("severity") == "warning" for alarm in status.get("alarms", []))
    counts = {
        "alarm": _alarm_count(status) - warnings,
        "warning": warnings - waiting,
        "conflict": status.get("conflicts", 0),
        "unreached remote": sum(bool(remote.get("error")) for remote in status.get("remotes", [])),
        "waiting plane": waiting,
    }
    wrong = [several(count, word) for word, count in counts.items() if count]
    if wrong:
        return f"{held}; {' and '.join(wrong)} to look at."
    return f"{held}; all is well." if status.get("replica") else held


def _alarm_count(status: dict[str, Any]) -> int:
    return len(status.get("alarms", [])) + sum(len(remote.get("alarms", ())) for remote in status.get("remotes", []))


def _alarms(style: Style, status: dict[str, Any]) -> Iterator[str]:
    for alarm in status.get("alarms", []):
        yield f"{style.alarm(neutralise(str(alarm.get('severity', 'alarm'))))}: {neutralise(str(alarm['message']))}"
        if alarm.get("hint"):
            yield f"  {neutralise(str(alarm['hint']))}"
    yield from alarm_lines(style, status.get("remotes", []))
    if status.get("conflicts"):
        yield "  `moot conflicts` lists what people disagree about"


def _facts(style: Style, status: dict[str, Any], now_ms: int) -> list[str]:
    rows = list(_rows(status, now_ms))
    if not style.terminal:
        return [f"{name}: {value}" for name, value in rows]
    return ["", *aligned(rows, width=style.width)]


def _rows(status: dict[str, Any], now_ms: int) -> Iterator[tuple[str, str]]:
    town = status.get("town") or {}
    if town:
        name = f"{neutralise(town['name'])} " if town.get("name") else ""
        yield "town", f"{name}{neutralise(str(town.get('key', '')))}"
    if status.get("replica"):
        yield "replica", neutralise(str(status["replica"]))
    yield from _exchange_rows(status, now_ms)
    for project in status.get("projects", []):
        folder = f" in {neutralise(project['folder'])}" if project.get("folder") else ""
        yield f"project {neutralise(project['project'])}", f"{several(project['issues'], 'issue')}{folder}"
    for spool in status.get("spools", []):
        yield f"spool of {neutralise(spool['project'])}", spool_words(spool, now_ms)
    for job in status.get("jobs", []):
        yield f"at work: {neutralise(str(job['job']))}", f"{job['done']:,} of {job['total']:,}"
    if status.get("parked"):
        yield "parked", f"{several(status['parked'], 'batch', 'es')} ahead of this machine's clock, applied when due"
    yield "data", f"{neutralise(str(status.get('data', '')))}, {size(status.get('bytes', 0))}"
    if status.get("at_rest"):
        yield "at rest", neutralise(str(status["at_rest"]))
    yield "version", f"{neutralise(str(status.get('version', '')))} (protocol {status.get('protocol', '')})"


def _exchange_rows(status: dict[str, Any], now_ms: int) -> Iterator[tuple[str, str]]:
    """The planes, each with how it is exchanged, and the remotes."""
    remotes = status.get("remotes", [])
    for plane in status.get("planes", []):
        digest = str(plane["digest"])[:DIGEST_SHOWN]
        told = f"{several(plane['events'], 'event')} of {several(plane['feeds'], 'feed')}, digest {digest}"
        if plane.get("state") == "waiting":
            told = f"waits for its charter; {told}"
        modes = mode_words(modes_of(plane, remotes))
        yield f"plane {neutralise(plane['name'])}", f"{told}; {modes}" if modes else told
    for remote in remotes:
        yield f"remote {neutralise(str(remote['name']))}", remote_words(remote, now_ms)


COMMANDS: Final = (
    Command(
        "status",
        "What this replica holds, and whether all is well",
        no_arguments,
        _status,
        alone=True,
        examples=("moot status", "moot status --json"),
    ),
    Command(
        "daemon run",
        "Run the daemon here, in the foreground",
        no_arguments,
        _daemon_run,
        alone=True,
        examples=("moot daemon run  # Ctrl-C ends it",),
    ),
    Command(
        "daemon start",
        "Start the daemon if none runs",
        no_arguments,
        _daemon_status,
        alone=True,
        examples=("moot daemon start",),
    ),
    Command(
        "daemon stop",
        "Let the daemon finish and end",
        no_arguments,
        _daemon_stop,
        aliases=("daemon killall", "daemons killall", "daemons stop"),
        alone=True,
        examples=("moot daemon stop",),
    ),
    Command(
        "daemon restart",
        "Stop the daemon and start it again",
        no_arguments,
        _daemon_status,
        alone=True,
        examples=("moot daemon restart  # after an upgrade of Moot",),
    ),
    Command(
        "daemon logs",
        "The end of the daemon's log",
        _log_arguments,
        _daemon_status,
        alone=True,
        examples=("moot daemon logs", "moot daemon logs -n 200  # its last 200 lines"),
    ),
    Command(
        "daemon status",
        "Whether a daemon runs, and which",
        no_arguments,
        _daemon_status,
        alone=True,
        examples=("moot daemon status", "moot daemon status --json"),
    ),
    Command(
        "daemon",
        "For programs that know bd: the same",
        _daemon_arguments,
        _daemon_status,
        alone=True,
        examples=("moot daemon --status  # as earlier releases of bd said it",),
    ),
    Command(
        "daemon list",
        "For programs that know bd: the one daemon there is",
        _workspaces_arguments,
        _daemon_list,
        aliases=("daemons list",),
        alone=True,
        examples=("moot daemon list --json",),
    ),
    Command(
        "daemon health",
        "For programs that know bd: whether it is well",
        _workspaces_arguments,
        _daemon_health,
        aliases=("daemons health",),
        alone=True,
        examples=("moot daemon health",),
    ),
    Command(
        "version",
        "Which version this is",
        no_arguments,
        _version,
        alone=True,
        unaided=True,
        examples=("moot version", "moot version --json"),
    ),
)
