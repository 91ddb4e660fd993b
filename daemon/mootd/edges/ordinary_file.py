"""Reading files that somebody else may have put there: only ordinary ones, and without ever waiting for one.

Invariant: what is read is what was looked at, since the look is at the open descriptor.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from moot_protocol.errors import Code, RefusedError


def open_ordinary(path: Path) -> BinaryIO:
    """Open an ordinary file for reading; a pipe of its name holds nobody up.

    Raises:
        OSError: as the system says.
        RefusedError: `denied`: it is something else than a file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RefusedError(
            f"{path} is no file", code=Code.DENIED, hint="move it away, or put the file in its place that belongs there"
        )
    return open(descriptor, "rb")  # noqa: PTH123 - the descriptor that was looked at is the one that is read
