"""What this is and where: info, where, context, quickstart, onboard."""

from argparse import ArgumentParser
from typing import Any, Final

from moot.console import as_bd, exits
from moot.console.command import Command, Context, no_arguments
from moot.console.commands.knowledge.settings import values_of
from moot.console.context import answer, need_project, workspace_folder
from moot.console.notices.copied_spool import note_copied_spool
from moot.console.text.safe_text import neutralise
from moot_protocol.requests.issues import Count, ListIssues
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.machine import Ping
from moot_protocol.requests.memories import Settings
from moot_protocol.spool.project_folder import FOLDER

TABLES: Final = ("batches", "events", "aside", "meta", "outbox", "ids", "records", "index")
"""What the store holds: the log first, then bookkeeping, then views."""
_SAMPLES: Final = 3

QUICKSTART: Final = """\
{program}: issues for people and agents, kept in a log of your own

GET STARTED
  {program} init --prefix demo              a project in this folder
  {program} create "Fix the login" -p 1     an issue
  {program} import .beads/issues.jsonl      issues that you have already

FIND AND DO WORK
  {program} ready                           what can be done now
  {program} update ID --claim               take one: whoever else tries, one wins
  {program} show ID                         all about it
  {program} close ID --reason "why"         done

DEPENDENCIES
  {program} dep add A B                     A waits for B
  {program} blocked                         what waits, and for what
  {program} dep tree ID                     all of it

REMEMBER
  {program} remember "Tests need a broker"  for all in the project: `{program} prime`
  {program} comment ID "Seen on 3.12 too"   on an issue

SEVERAL MACHINES
  {program} remote add git URL              exchange through a repository
  {program} invite                          a ticket: `{program} join TICKET` elsewhere
  {program} sync --wait                     now

`{program} help` lists every command; --json works with all of them.
"""
ONBOARD: Final = """\
## Issues

This project keeps its issues in Moot. Run `{program} prime` first: it says what to know and what to do.

- `{program} ready --json`: what can be worked on
- `{program} update ID --claim`: take it; `{program} close ID --reason "…"`: done
- `{program} create "…" --deps discovered-from:ID`: what you find on the way
- `{program} remember "…"`: what whoever comes next should know

Keep no to-do lists in files.
"""


# -- info --------------------------------------------------------------------------------------------------------
def _info_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--schema", action="store_true", help="what the store holds, too")


def _info(context: Context) -> int:
    project = need_project(context)
    pong = context.api.call(Ping())
    mine = Filter(projects=(project,))
    total = context.api.call(Count(filter=mine, all=True))["total"]
    settings = context.api.call(Settings(project=project, plane=context.plane))
    document: dict[str, Any] = {
        "database_path": pong["data"],
        "mode": "daemon",
        "daemon_connected": True,
        "daemon_status": "healthy",
        "daemon_version": pong["version"],
        "daemon_uptime": pong["uptime_ms"] / 1000,
        "issue_count": total,
        "config_file": pong["config_file"],
        "config": {"issue_prefix": project} | values_of(settings),
    }
    if context.arguments.schema:
        samples = context.api.call(ListIssues(filter=mine, all=True, limit=_SAMPLES)).issues
        document["schema"] = {
            "tables": list(TABLES),
            "schema_version": str(pong["protocol"]),
            "config": {"issue_prefix": project},
            "sample_issue_ids": [issue["id"] for issue in samples],
            "detected_prefix": project,
        }
    told = [
        f"data: {neutralise(pong['data'])}",
        f"config file: {neutralise(pong['config_file'])}",
        f"project: {neutralise(project)}",
        f"issues: {total:,}",
        f"daemon: process {pong['pid']}, version {neutralise(str(pong['version']))}",
    ]
    answer(context, document, told + ([f"tables: {', '.join(TABLES)}"] if context.arguments.schema else []))
    return exits.OK


# -- where, context ----------------------------------------------------------------------------------------------
def _where(context: Context) -> int:
    need_project(context)
    data = context.api.call(Ping())["data"]
    path = f"{workspace_folder(context)}/{FOLDER}"
    document = {"path": path, "prefix": context.project, "database_path": data}
    told = [neutralise(path), f"  prefix: {neutralise(context.project)}", f"  database: {neutralise(data)}"]
    answer(context, document, told)
    note_copied_spool(context)
    return exits.OK


def _context(context: Context) -> int:
    need_project(context)
    facts = context.terminal.facts
    pong = context.api.call(Ping())
    root = workspace_folder(context)
    document = {
        "beads_dir": f"{root}/{FOLDER}",
        "repo_root": root,
        "is_redirected": False,
        "is_worktree": f"{facts.folder}/".startswith(f"{root}/") is False,
        "backend": "moot",
        "dolt_mode": "",
        "database": context.project,
        "data_dir": pong["data"],
        "project_id": facts.workspace,
        "role": "maintainer",
        "actor": context.actor,
        "plane": context.plane,
        "bd_version": as_bd.VERSION,
        "moot_version": pong["version"],
    }
    told = [f"{name.replace('_', ' ')}: {neutralise(_shown(value))}" for name, value in document.items() if value != ""]
    answer(context, document, told)
    return exits.OK


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# -- Texts -------------------------------------------------------------------------------------------------------
def print_text(context: Context, name: str, text: str) -> int:
    """Print one of the texts of this module, or answer with it as a document."""
    shown = text.format(program=context.terminal.facts.program)
    if context.json:
        answer(context, {name: shown}, ())
    else:
        context.terminal.out(shown)
    return exits.OK


def _quickstart(context: Context) -> int:
    return print_text(context, "quickstart", QUICKSTART)


def _onboard(context: Context) -> int:
    return print_text(context, "onboard", ONBOARD)


COMMANDS: Final = (
    Command(
        "info",
        "The project, where its data lies, how much there is",
        _info_arguments,
        _info,
        examples=("moot info", "moot info --schema --json  # what the store holds, too"),
    ),
    Command(
        "where",
        "The workspace that this folder belongs to",
        no_arguments,
        _where,
        examples=("moot where", "moot -C ~/src/app where --json"),
    ),
    Command(
        "context",
        "Workspace, project, plane and actor of a command here",
        no_arguments,
        _context,
        examples=("moot context", "moot --actor ada/agent-1 context  # as another actor"),
    ),
    Command(
        "quickstart",
        "The commands to begin with",
        no_arguments,
        _quickstart,
        alone=True,
        unaided=True,
        examples=("moot quickstart",),
    ),
    Command(
        "onboard",
        "Lines for a project's AGENTS.md",
        no_arguments,
        _onboard,
        alone=True,
        unaided=True,
        examples=("moot onboard >> AGENTS.md",),
    ),
)
"""The commands of this module."""
