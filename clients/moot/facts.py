"""What the client says of itself: arguments, folder, workspace, terminal, named variables, git's user name.

All of it is gathered for every command, so each is a handful of system calls and no program is run.
"""

import os

from moot.paths import home, user

WIDTH = 80
SMALL_FILE = 256 * 1024
"""Bytes that are read of a configuration file."""

ENVIRONMENT = (
    "MOOT_ACTOR", "BD_ACTOR", "BEADS_ACTOR", "BEADS_DIR", "BEADS_DB", "BD_JSON_ENVELOPE", "CLAUDE_SESSION_ID",
    "HOME", "XDG_CONFIG_HOME", "USER", "LOGNAME",
    "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLORTERM", "TERM",
    "LANG", "LC_ALL", "LC_CTYPE", "LC_TIME", "TZ",
)  # fmt: skip
"""The variables that the daemon is told; no other leaves this process. USER also where it isn't set and is needed."""
WORKSPACE_FILE = ".moot/workspace"
"""As `moot_protocol.spool.project_folder` names it, which would be one more module to load."""
ACTORS = ("MOOT_ACTOR", "BD_ACTOR", "BEADS_ACTOR")


def facts(program: str, arguments: list[str]) -> list[object]:
    """What the daemon is told of this process, in the order of the console's `Facts`."""
    try:
        folder = os.getcwd()
    except OSError:
        folder = ""
    known = os.environ
    environment = {name: known[name] for name in ENVIRONMENT if name in known}
    is_named = any(known.get(name) for name in ACTORS)
    git = "" if is_named else git_user(folder)
    if not (is_named or git):
        environment["USER"] = user()
    out_is_terminal = os.isatty(1)
    return [
        arguments,
        program,
        folder,
        workspace_meant(folder)[1],
        environment,
        git,
        _width(out_is_terminal),
        out_is_terminal,
        os.isatty(2),
        os.isatty(0),
    ]


def _width(out_is_terminal: bool) -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return min(int(columns), 65535)
    try:
        return os.get_terminal_size(1).columns or WIDTH if out_is_terminal else WIDTH
    except OSError:
        return WIDTH


def _project_folder(folder: str) -> str:
    """The folder that a caller means: the one that the variables of `bd` place the project's files in, else its own."""
    place = os.environ.get("BEADS_DIR") or os.path.dirname(os.environ.get("BEADS_DB", ""))
    return os.path.dirname(os.path.normpath(os.path.join(folder, place))) if place else folder


def workspace_meant(folder: str) -> tuple[str, str]:
    """The workspace that a caller means: its folder and its id, which is empty where there is none.

    By whatever name: a shell's `alias bd=moot` calls it as `moot`, and the variables of `bd` mean the same project.
    """
    return _workspace_at(_project_folder(folder))


def has_spool() -> bool:
    """Whether the workspace that a caller means takes commands through files."""
    try:
        folder, workspace = workspace_meant(os.getcwd())
    except OSError:
        return False
    return bool(workspace) and os.path.exists(f"{folder}/.moot/spool/token")


def workspace_of(folder: str) -> str:
    """The id of the workspace that a folder lies in: found upward, else through git's common directory."""
    return _workspace_at(folder)[1]


def _workspace_at(folder: str) -> tuple[str, str]:
    common = ""
    while True:
        found = _first_line(f"{folder}/{WORKSPACE_FILE}")
        if found or not folder:
            break
        common = common or _common_folder(folder)
        folder = folder.rpartition("/")[0]
    if not found and common:
        folder = os.path.dirname(common)
        found = _first_line(f"{folder}/{WORKSPACE_FILE}")
    return folder, found


def _common_folder(folder: str) -> str:
    """The git directory that a linked work tree shares with its repository; empty for anything else."""
    mark, _, path = _first_line(f"{folder}/.git").partition(": ")
    if mark != "gitdir":
        return ""
    own = os.path.join(folder, path)
    common = _first_line(f"{own}/commondir")
    return os.path.normpath(os.path.join(own, common)) if common else ""


def _own_folder(folder: str) -> str:
    """The git directory of a repository, or of a submodule, which lies in the one around it."""
    mark, _, path = _first_line(f"{folder}/.git").partition(": ")
    return os.path.join(folder, path) if mark == "gitdir" else f"{folder}/.git"


def git_user(folder: str) -> str:
    """The user.name of git: of the repository, else of the user. Included files are not followed."""
    while folder:
        common = _common_folder(folder) or _own_folder(folder)
        if os.path.exists(common):
            name = _user_name(read_small(f"{common}/config"))
            if name:
                return name
            break
        folder = folder.rpartition("/")[0]
    own = home()
    config = os.environ.get("XDG_CONFIG_HOME") or f"{own}/.config"
    return _user_name(read_small(f"{own}/.gitconfig")) or _user_name(read_small(f"{config}/git/config"))


def _user_name(text: str) -> str:
    section = name = ""
    for raw in text.split("\n"):
        line = raw.strip()
        if line.startswith("["):
            section = line[1 : line.find("]")].strip().lower()
        elif section == "user":
            key, equals, value = line.partition("=")
            if equals and key.strip().lower() == "name":
                name = _config_value(value)
    return name


def _config_value(raw: str) -> str:
    """A value as git reads it: without comment, quotes and backslashes."""
    value, quoted, escaped = "", False, False
    for character in raw.strip():
        if escaped or character not in '"\\#;' or (quoted and character in "#;"):
            value += character
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        else:
            break
    return value.strip()


def _first_line(path: str) -> str:
    return read_small(path).partition("\n")[0].strip()


def read_small(path: str) -> str:
    """The beginning of a small text file; empty if it can't be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):  # ValueError: a path with a zero byte, out of a file of somebody else's
        return ""
    try:
        return os.read(descriptor, SMALL_FILE).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)
