"""Where the client finds the daemon: the same rule as the daemon's own (`mootd.edges.paths`), without its imports.

A variable that is empty or not an absolute path counts as unset, as the XDG specification says. MOOT_SOCKET is Moot's
own: what it names is meant, so a relative one is refused where it would be connected to (`conversation.try_connect`).
"""

import os

SOCKET_BYTES = 107
"""As `moot_protocol.limits` says it, which would be one more module to load."""
NAMED_SOCKET = "MOOT_SOCKET"
"""Names a socket that a system service listens at. Clients alone heed it: the daemon listens where it always does."""


def socket_path() -> str:
    """The control socket."""
    named = os.environ.get(NAMED_SOCKET, "")
    if named:
        return named.rstrip("/") or named
    runtime = _absolute("XDG_RUNTIME_DIR")
    return f"{runtime}/moot/moot.sock" if runtime else f"{state_folder()}/run/moot.sock"


def state_folder() -> str:
    """The folder of the daemon's log file, and of the socket where there is no runtime folder."""
    state = _absolute("XDG_STATE_HOME")
    return f"{state}/moot" if state else f"{home()}/.local/state/moot"


def home() -> str:
    """The user's home; without HOME the password database knows it."""
    known = _absolute("HOME")
    if known:
        return known
    import pwd

    return pwd.getpwuid(os.getuid()).pw_dir


def user() -> str:
    """The user's name; without USER the password database knows it. Empty where it doesn't either."""
    known = os.environ.get("USER", "").strip()
    if known:
        return known
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return ""


def is_socket_named() -> bool:
    """Whether the user has named the socket themselves."""
    return bool(os.environ.get(NAMED_SOCKET))


def _absolute(name: str) -> str:
    value = os.environ.get(name, "")
    return value.rstrip("/") if value.startswith("/") else ""
