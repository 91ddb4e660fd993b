"""Commands that Beads has and that are not here: why, and what does the work instead.

Invariant: `docs/bd.md` says of each exactly what is said here (a test compares them), so no command of Beads is ever
called unknown.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from moot_protocol.errors import Code, RefusedError

_BRIDGE: Final = "a bridge is a program of its own, over `export` and `import`"
_BACKUP: Final = "one command copies all that a machine has, keys included, and verifies the copy; `moot backup FOLDER`"
_BACKUPS: Final = "each copy is a folder by itself, and which are kept is yours to say; `moot backup --check FOLDER`"
_RESTORE: Final = (
    "a copy is put in the data folder's place while no daemon runs, as docs/security.md says; `moot salvage`"
)
_REPO: Final = "planes take the place of hydration; `moot list --project all`"
_WORKTREE: Final = "every work tree belongs to its repository's project by itself; `git worktree`"
_AGENT: Final = "it was of release 0.49 and is gone from 1.0, too; `moot set-state`, `moot claim`"
_WAYS: Final = (
    "proxied-server-to-server",
    "proxied-server-to-shared-server",
    "server-to-proxied-server",
    "shared-server-to-proxied-server",
)
"""Between which kinds of servers `bd` moves a project."""
_BRIDGES: Final = {
    "jira": ("sync", "pull", "push", "status"),
    "linear": ("sync", "pull", "push", "status", "teams"),
    "github": ("sync", "pull", "push", "status", "repos"),
    "gitlab": ("sync", "pull", "push", "status", "projects"),
    "ado": ("sync", "pull", "push", "status", "projects"),
    "notion": ("sync", "pull", "push", "status", "init", "connect"),
}

NOT_HERE: Final[Mapping[str, str]] = {
    "reclaim": "an ended claim is ready again by itself; `moot claim` takes it",
    "ship": "`external:` dependencies are kept, and nothing resolves them; `moot label add ID export:NAME`",
    "init-safety": "`init` can't destroy anything; `moot help init`",
    "migrate hooks": "`hooks install` keeps its own section up to date; `moot hooks install`",
    "migrate issues": "a project stays on its plane; `moot export` and `moot import`",
    "migrate sync": "remotes take its place; `moot remote add`",
    **{f"migrate from-{way}": "there is one kind of daemon; `moot daemon status` tells of it" for way in _WAYS},
    "migrate-personal": "a second project, or a plane of its own; `moot plane create`",
    "preflight": "it checks Beads' own source; `moot doctor` checks this machine",
    "worktree create": _WORKTREE,
    "worktree list": _WORKTREE,
    "worktree remove": _WORKTREE,
    "worktree info": "every work tree belongs to its repository's project by itself; `moot context`",
    "completion powershell": "there is no client for Windows; `moot completion bash`",
    "sql": (
        "there is no SQL database; what Beads calls embedded mode has none to ask either, where `bd sql` is not yet "
        "supported; `moot query`, `moot export`"
    ),
    "rules audit": "it is about Claude's files and not about issues; edit them as files",
    "rules compact": "it is about Claude's files and not about issues; edit them as files",
    "admin cleanup": "closed issues are in no list unless asked for; `moot help prune` tells how old ones are deleted",
    "admin reset": "nothing destroys a town's log; `moot delete` takes single issues away",
    "restore": "no text is taken away to save room; `moot show ID`, or `moot show ID --as-of TIME`",
    "backup init": _BACKUP,
    "backup sync": _BACKUP,
    "backup restore": _RESTORE,
    "backup status": _BACKUPS,
    "backup remove": _BACKUPS,
    "branch": "machines merge by themselves and there are no branches; `moot sync`",
    "vc merge": "machines merge by themselves; `moot conflicts`, `moot resolve`",
    "dolt remote add": "remotes are Git repositories and brokers; `moot remote add`",
    "dolt remote list": "remotes are Git repositories and brokers; `moot remote list`",
    "dolt remote remove": "remotes are Git repositories and brokers; `moot remote remove`",
    "dolt set": "there is no Dolt server to be configured; `moot config set`",
    "federation sync": "planes of several towns go with every exchange; `moot sync`, `moot federation pull`",
    "federation add-peer": "a town joins by an invitation; `moot invite --town`, `moot join`",
    "federation remove-peer": "a town is a member of a plane, not a remote; `moot member remove`",
    "federation list-peers": "peers are towns; `moot federation peers`",
    "repo add": _REPO,
    "repo list": _REPO,
    "repo remove": _REPO,
    "repo sync": _REPO,
    "merge": "machines merge by themselves; `moot merge-file`, or `moot import --since BASE` for two files",
    "resolve-conflicts": "files are merged issue by issue; `moot conflicts`, `moot resolve`",
    "move": "a project stays on its plane; `moot export` and `moot import`",
    "refile": "a project stays on its plane; `moot export` and `moot import`",
    "mail": "it delegates to another program; `moot mail inbox` is Moot's own",
    "formula convert": "formulas are read as TOML or as JSON as they are; `moot cook FILE`",
    "formula schema": "what is no formula is refused with the line; `moot cook FILE --dry-run`",
    "audit record": "the log has who did what; what a model said doesn't belong there; `moot comment`",
    "audit label": "the log has who did what; what a model said doesn't belong there; `moot comment`",
    "agent": _AGENT,
    "slot": _AGENT,
    **{f"{bridge} {word}": _BRIDGE for bridge, words in _BRIDGES.items() for word in words},
}
"""Command → why it isn't here, and after the last `; ` what to type instead."""
_PARTLY_HERE: Final = frozenset(
    {"admin", "audit", "backup", "completion", "dolt", "federation", "formula", "mail", "migrate", "vc"}
)
_GROUPS: Final = {
    group: why
    for group, why in ((name.split(" ")[0], why) for name, why in reversed(list(NOT_HERE.items())))
    if group not in _PARTLY_HERE
}
"""What is said of a group's first command is said of the group, if none of its commands is here."""
_LONGEST: Final = 3
"""Words of a command's name at most."""


def refusal(words: Sequence[str]) -> RefusedError | None:
    """What somebody is told who types a command that is not here.

    Args:
        words: what was typed, flags apart.

    Returns:
        The error; None for what Beads doesn't have either.
    """
    names = [" ".join(words[:count]) for count in range(min(len(words), _LONGEST), 0, -1)]
    name = next((name for name in names if name in NOT_HERE), None)
    if name is None:
        name = words[0] if words and words[0] in _GROUPS else None
    if name is None:
        return None
    reason, _, instead = (NOT_HERE.get(name) or _GROUPS[name]).rpartition("; ")
    return RefusedError(f"`{name}` is not here: {reason or instead}", code=Code.USAGE, hint=instead if reason else "")
