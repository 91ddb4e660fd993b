"""Whether a daemon of another user may be spoken to: only one at a socket that was named, where nobody else can be.

A daemon tells its client which files to read and write, and is told the API token. So a stranger must not be able to
take its place. Invariant: besides root, only the user who answers could have made that socket: it is theirs, and nobody
else can write to any folder on the way to it, or lead the way elsewhere by a link. Whoever names a socket trusts its
owner, as they trust root.
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
