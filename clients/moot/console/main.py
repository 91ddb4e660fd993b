"""One run of the console: read the arguments, find out who acts and on what, run the command, report its failure.

With `--json` exactly one document goes to standard output, also on failure; of `export`, `events` and `audit export`
one a line. An exception that is no MootError is a defect of ours: it is handed to `on_crash`, which logs it, and the
user sees the id under which it was logged.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from moot.console import as_bd, documents, exits
from moot.console.api import Api
from moot.console.command import Command, Context
from moot.console.commands.access import audit, rules, tokens
from moot.console.commands.bundles import (
    bonding,
    clearing,
    epics,
    formulas,
    gate_runs,
    gates,
    merge_slots,
    molecules,
    states,
    swarms,
)
from moot.console.commands.exchange import (
    federation,
    forks,
    invites,
    leases,
    mail,
    members,
    planes,
    recovery,
    remotes,
    replicas,
    sharing,
    sync,
    towns,
)
from moot.console.commands.issues import (
    batch,
    changes,
    claims,
    conflicts,
    creating,
    edges,
    editing,
    erasing,
    handoffs,
    history,
    labels,
    lifecycle,
    renaming,
    shorthands,
    show,
    write,
)
from moot.console.commands.knowledge import docs, memories, prime, settings
from moot.console.commands.lists import (
    activity,
    duplicates,
    graph,
    graphs,
    human,
    lists,
    orphans,
    pruning,
    queries,
    statistics,
)
from moot.console.commands.log import events, exporting, importing, merge_file, mirror, proof
from moot.console.commands.machine import (
    about,
    backups,
    daemon,
    health,
    hook_runs,
    housekeeping,
    init,
    mcp,
    reference,
    setting_up,
    spools,
)
from moot.console.context import Place, ReadOnlyApi, actor_of, check_actor, check_place, place_of, tell_place
from moot.console.described import Described
from moot.console.grammar import Grammar, Invocation, Section, Topic
from moot.console.keyed import KeyedApi
from moot.console.notices import not_here
from moot.console.notices.claims import attend
from moot.console.notices.nudges import tell_nudges
from moot.console.rehearsal import Needed, NoApi, NoTerminal
from moot.console.terminal import Facts, Terminal
from moot.console.text.safe_text import neutralise, shortened
from moot.console.trials import with_trials
from moot.console.watching import ASK_AGAIN
from moot_protocol.errors import Code, MootError, RefusedError, defect


def _described() -> list[Described]:
    return GRAMMAR.described()


GRAMMAR: Final[Grammar] = Grammar(
    with_trials(
        [
            Section(
                "Find work",
                [
                    *lists.COMMANDS,
                    *statistics.COMMANDS,
                    *show.COMMANDS,
                    *history.COMMANDS,
                    *changes.COMMANDS,
                    *conflicts.COMMANDS,
                ],
                is_of_issues=True,
            ),
            Section(
                "Care for the list",
                [*queries.COMMANDS, *orphans.COMMANDS, *duplicates.COMMANDS, *pruning.COMMANDS, *erasing.COMMANDS],
                is_of_issues=True,
            ),
            Section(
                "Do work",
                [
                    *write.COMMANDS,
                    *claims.COMMANDS,
                    *handoffs.COMMANDS,
                    *creating.COMMANDS,
                    *editing.COMMANDS,
                    *lifecycle.COMMANDS,
                    edges.COMMENT,
                    *shorthands.COMMANDS,
                    *batch.COMMANDS,
                    *renaming.COMMANDS,
                ],
                is_of_issues=True,
            ),
            Section(
                "Dependencies and labels",
                [*edges.COMMANDS, *graph.COMMANDS, *graphs.COMMANDS, *labels.COMMANDS],
                is_of_issues=True,
            ),
            Section(
                "Bundles of work",
                [
                    *epics.COMMANDS,
                    *swarms.COMMANDS,
                    *states.COMMANDS,
                    *gates.COMMANDS,
                    *gate_runs.COMMANDS,
                    *merge_slots.COMMANDS,
                ],
                is_of_issues=True,
            ),
            Section(
                "Roles, formulas and templates",
                [
                    *docs.COMMANDS,
                    *formulas.COMMANDS,
                    *molecules.COMMANDS,
                    *bonding.COMMANDS,
                    *clearing.COMMANDS,
                ],
            ),
            Section("What to know", [*prime.COMMANDS, *memories.COMMANDS, *human.COMMANDS, *settings.COMMANDS]),
            Section(
                "The log",
                [
                    *importing.COMMANDS,
                    *exporting.COMMANDS,
                    *mirror.COMMANDS,
                    *merge_file.COMMANDS,
                    *events.COMMANDS,
                    *activity.COMMANDS,
                    *proof.COMMANDS,
                ],
            ),
            Section("Exchange", [*sync.COMMANDS, *remotes.COMMANDS, *planes.COMMANDS, *invites.COMMANDS]),
            Section(
                "Towns",
                [*towns.COMMANDS, *members.COMMANDS, *replicas.COMMANDS, *forks.COMMANDS, *recovery.COMMANDS],
            ),
            Section("Who may do what", [*rules.COMMANDS, *tokens.COMMANDS, *audit.COMMANDS]),
            Section("One machine at a time", [*leases.COMMANDS]),
            Section("What towns share", [*federation.COMMANDS, *sharing.COMMANDS, *mail.COMMANDS]),
            Section(
                "This machine",
                [
                    *init.COMMANDS,
                    *setting_up.COMMANDS,
                    *hook_runs.COMMANDS,
                    *reference.commands(_described),
                    *about.COMMANDS,
                    *health.COMMANDS,
                    *housekeeping.COMMANDS,
                    *backups.COMMANDS,
                    *daemon.COMMANDS,
                    *spools.COMMANDS,
                    *mcp.COMMANDS,
                ],
            ),
        ]
    ),
    not_here.refusal,
    {
        "exit-codes": Topic(
            "What commands end with, by the kind of failure; called as `bd`, with 1 for all", exits.told()
        )
    },
)
"""Every command. Shared by all threads: reading never changes it but for the parsers it keeps."""
_OF_MOLECULES: Final = "mol "
"""Begins the names of commands that are about issues where they name some, and else about formulas."""
_ANYWHERE: Final = Place(project="?", plane="?")
"""Where a rehearsed command acts: no refusal of arguments depends on it."""


def run_unaided(api: Api, terminal: Terminal, now_ms: int, on_crash: Callable[[Exception], str]) -> int | None:
    """Run the command that the terminal's facts name if it takes no daemon.

    That are help, what is marked so, and whatever refuses its arguments before it has asked or touched anything.

    Args:
        api: what is known without a daemon.
        terminal: the client.
        now_ms: the wall clock, milliseconds since 1970.
        on_crash: as `run`.

    Returns:
        The exit code as the caller is to see it; None, and nothing is done, where a daemon is needed.
    """
    facts = terminal.facts
    try:
        command = _read(facts).command
        if command is not None and not command.unaided:
            _dispatch(NoApi(), NoTerminal(facts), now_ms, time.monotonic, _ANYWHERE)
            return None
    except Needed:
        return None
    except MootError as error:
        return exits.as_seen(_report(terminal, error), facts.program) if error.code is Code.USAGE else None
    except Exception:
        return None  # a defect: the daemon finds it, too, and logs it
    return run(api, terminal, now_ms, on_crash)


def is_refused(facts: Facts) -> bool:
    """Whether the grammar refuses the arguments that the facts name."""
    try:
        _read(facts)
    except MootError:
        return True
    return False


def command_of(facts: Facts) -> str:
    """The name of the command that the facts ask for; empty where they make no sense, or ask for help."""
    try:
        command = _read(facts).command
    except MootError:
        return ""
    return "" if command is None else command.name


def how_to_ask_again(facts: Facts) -> str:
    """How to go on where the daemon went away under a command that only looks and waits; empty of any other."""
    try:
        command, arguments = _read(facts)[:2]
    except MootError:
        return ""
    if getattr(arguments, "watch", False) and not getattr(arguments, "claim", False):
        return ASK_AGAIN
    return command.again if command is not None else ""


def what_may_be_done(facts: Facts) -> str:
    """What to know where the daemon has a command and doesn't answer; empty of one that changes nothing.

    What changes something can be tried (`--dry-run`); the few that can't may as well be given again.
    """
    try:
        arguments = _read(facts).arguments
    except MootError:
        return ""
    if getattr(arguments, "dry_run", True):
        return ""
    if getattr(arguments, "request_id", None):
        return "it may be done or not: repeat it with the same --request-id, and it is done once"
    look = f"look before you change something again, `{facts.program} activity` shows what was changed last"
    return f"it may be done or not, or be done once the daemon goes on: {look}"


def _read(facts: Facts) -> Invocation:
    return GRAMMAR.read(facts.argv, as_bd.NAMES if facts.is_bd else {})


def run(
    api: Api,
    terminal: Terminal,
    now_ms: int,
    on_crash: Callable[[Exception], str],
    *,
    monotonic: Callable[[], float] = time.monotonic,
) -> int:
    """Run the command that the terminal's facts name.

    Args:
        api: the daemon.
        terminal: the client.
        now_ms: the wall clock, milliseconds since 1970.
        on_crash: logs an unexpected exception and returns the id under which it did.
        monotonic: seconds from a clock that only goes forward.

    Returns:
        The exit code as the caller is to see it.
    """
    facts = terminal.facts
    try:
        code = _dispatch(api, terminal, now_ms, monotonic)
    except MootError as error:
        code = _report(terminal, error)
    except Exception as error:
        code = _report(terminal, _defect(error, on_crash(error)))
    return exits.as_seen(code, facts.program)


def _dispatch(
    api: Api, terminal: Terminal, now_ms: int, monotonic: Callable[[], float], known: Place | None = None
) -> int:
    """Find out who acts and where, unless the place is known, and run the command."""
    facts = terminal.facts
    invocation = _read(facts)
    if invocation.command is None:
        return _help(terminal, invocation.topic)
    arguments = invocation.arguments
    if arguments.directory is not None:  # the client goes there and takes the flag away before it connects
        raise RefusedError("-C and its folder are two arguments", code=Code.USAGE, hint="write `-C PATH`")
    if arguments.db is not None and not facts.is_bd:
        raise RefusedError("moot keeps no database file", code=Code.USAGE, hint="`-C FOLDER` acts in another project")
    actor = actor_of(arguments, facts)
    check_actor(actor)
    place = known or (Place() if invocation.command.alone else place_of(api, facts, actor))
    if arguments.readonly:
        api = ReadOnlyApi(api)
    elif not getattr(arguments, "dry_run", False):  # that something was told is written down, too
        if place.claims:
            attend(api, terminal, actor, place.claims, quiet=arguments.quiet)
        if place.nudges and not arguments.quiet:
            tell_nudges(api, terminal, actor, place.nudges)
    if arguments.request_id is not None:
        api = KeyedApi(api, arguments.request_id)
    context = Context(
        api=api,
        terminal=terminal,
        arguments=arguments,
        actor=actor,
        project=place.project,
        plane=place.plane,
        json=arguments.json,
        now_ms=now_ms,
        monotonic=monotonic,
    )
    return _run_in_place(context, invocation.command)


def _run_in_place(context: Context, command: Command) -> int:
    """Run a command; where it is about issues, tell where they were looked for."""
    is_of_issues = command.name in GRAMMAR.of_issues
    if is_of_issues:
        check_place(context)
    code = command.run(context)
    if is_of_issues or command.name.startswith(_OF_MOLECULES):
        tell_place(context)
    return code


def _help(terminal: Terminal, topic: str) -> int:
    facts = terminal.facts
    as_json = wants_json(facts.argv)
    text = GRAMMAR.help(topic, facts.program, facts.width, wraps=facts.out_is_terminal and not as_json)
    if as_json:
        text = documents.encoded(documents.enveloped({"help": text}, facts.environment)) + "\n"
    terminal.out(text)
    return exits.OK


def wants_json(argv: Sequence[str]) -> bool:
    """Whether an argument list that may make no sense asks for JSON."""
    flags = argv[: argv.index("--")] if "--" in argv else argv
    return "--json" in flags


def _defect(error: Exception, request_id: str) -> MootError:
    named = f" It was logged as {request_id}." if request_id else ""
    return defect(error, f"a defect in Moot.{named}", hint="please report it; `moot doctor` may tell more")


def _report(terminal: Terminal, error: MootError) -> int:
    """Tell the user of a failure. A client that has gone away can't be told."""
    code = exits.exit_code(error)
    if error.code is Code.CANCELLED:
        return code
    try:
        _tell(terminal, _shortened(error))
    except MootError as gone:
        return exits.exit_code(gone)
    return code


def _shortened(error: MootError) -> MootError:
    """The error with the middle of its message left out where that is too long; hints may have to be long."""
    return MootError(shortened(error.message), code=error.code, hint=error.hint, retryable=error.retryable)


def _tell(terminal: Terminal, error: MootError) -> None:
    """One document with `--json`, else words; called as `bd` always words, which callers show to their users."""
    facts = terminal.facts
    is_bd = facts.is_bd
    if wants_json(facts.argv):
        document = documents.enveloped(documents.failure(error, is_bd=is_bd), facts.environment)
        terminal.out(documents.encoded(document, indent=facts.out_is_terminal) + "\n")
        if not is_bd:
            return
    message, hint = (as_bd.message(error), as_bd.hint(error.hint)) if is_bd else (error.message, error.hint)
    advice = f"Hint: {neutralise(hint)}\n" if hint else ""
    terminal.err(f"Error: {neutralise(message)}\n{advice}")
