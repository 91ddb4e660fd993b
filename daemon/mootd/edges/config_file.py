"""The file with this machine's settings, read when the daemon starts and looked at again by `moot doctor`.

Invariant: a file that is there and gives no settings is an error, never the same as none. Who may write it isn't
checked, unlike with the access rules: nothing in it lets anybody in, or makes the daemon run or open anything.
"""

import os
import stat
from pathlib import Path
from typing import Final

from moot_protocol.errors import Code, RefusedError
from mootd.config import CONFIG_BYTES, Config, read_config
from mootd.edges.paths import refusal

_REMEDY: Final = "set that right, or move the file away: without it every setting has its default"


def read_config_file(path: Path) -> Config | None:
    """The settings that a file gives as it stands now; None where there is no file.

    Raises:
        RefusedError: `invalid`: it gives none; `denied`: it is no file, or can't be read. Names the file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refusal(error, f"cannot read {path}") from error
    text = _read(descriptor, path)
    try:
        return read_config(text)
    except RefusedError as error:
        raise RefusedError(f"{path}: {error.message}", hint=_REMEDY) from error


def _read(descriptor: int, path: Path) -> bytes:
    """What is behind a descriptor, which is closed; one byte more than may be there at the most."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RefusedError(f"{path} is no file", code=Code.DENIED)
    with open(descriptor, "rb") as file:
        return file.read(CONFIG_BYTES + 1)
