"""Whether a daemon of another user may be spoken to: only one at a socket that was named, where nobody else can be.

A daemon tells its client which files to read and write, and is told the API token. So a stranger must not be able to
take its place. Invariant: besides root, only the user who answers could have made that socket: it is theirs, and nobody
else can write to any folder on the way to it, or lead the way elsewhere by a link. Whoever names a socket trusts its
owner, as they trust root.

Who else may keep us from a place is told here, too.
"""

import os
import stat

_WRITABLE = 0o022


def distrust(path: str, owner: int) -> str:
    """Why the user who answers at a socket isn't trusted; empty where they are.

    Args:
        path: the socket, as it was named.
        owner: the user id at its other end.
    """
    path = os.path.normpath(path)
    if os.path.realpath(path) != path:
        return f"a link leads to it; name {os.path.realpath(path)}"
    try:
        socket = os.lstat(path)
        if not stat.S_ISSOCK(socket.st_mode) or socket.st_uid != owner:
            return "the socket isn't theirs"
        folder = path
        while folder != "/":
            folder = folder.rpartition("/")[0] or "/"
            found = os.lstat(folder)
            if found.st_uid not in (0, owner) or found.st_mode & _WRITABLE:
                return f"others than they and root can write to {folder}"
    except OSError as error:
        return f"{error.filename} can't be looked at: {error.strerror}"
    return ""


def kept_out(path: str) -> tuple[str, str]:
    """Who keeps us from a path, and what to do; both empty if what can be seen of it is open, or our own."""
    place, needed = path, os.W_OK
    while not os.path.exists(place):  # which a `Path` raises for, below a folder that is closed to us
        place, needed = os.path.dirname(place), os.X_OK
    return ("", "") if os.access(place, needed) else of_another(place)


def of_another(path: str) -> tuple[str, str]:
    """That a path belongs to another user, and what to do; both empty if it doesn't, or can't be seen."""
    try:
        owner = os.stat(path).st_uid
    except OSError:
        return "", ""
    own = os.geteuid()
    if owner == own:
        return "", ""
    hint = "run it as that user, or with HOME and the XDG variables naming folders of your own"
    if own == 0:
        hint = "run it as that user; or, with root's own home: `sudo -H`"
    elif owner == 0 and "/moot/" in f"{path}/":  # not of what lies above our own folders
        hint = f"a command under sudo may have made it: `sudo chown -R {own} {path}` gives it back"
    return f"{path} belongs to user {owner}, not to user {own}", hint
