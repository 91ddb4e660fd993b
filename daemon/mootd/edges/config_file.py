"""The file with this machine's settings, read when the daemon starts and looked at again by `moot doctor`.

Invariant: a file that is there and gives no settings is an error, never the same as none. Who may write it isn't
checked, unlike with the access rules: nothing in it lets anybody in, or makes the daemon run or open anything.
"""

from pathlib import Path
from typing import Final

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import CONFIG_BYTES
from mootd.config import Config, read_config
from mootd.edges.ordinary_file import open_ordinary
from mootd.edges.paths import refusal

_REMEDY: Final = "set that right, or move the file away: without it every setting has its default"


def read_config_file(path: Path) -> Config | None:
    """The settings that a file gives as it stands now; None where there is no file.

    Raises:
        RefusedError: `invalid`: it gives none; `denied`: it is no file, or can't be read. Names the file.
    """
    try:
        with open_ordinary(path) as file:
            text = file.read(CONFIG_BYTES + 1)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise RefusedError(f"{path} is a link that leads nowhere", code=Code.DENIED, hint=_REMEDY) from error
        return None
    except OSError as error:
        raise refusal(error, f"cannot read {path}") from error
    try:
        return read_config(text)
    except RefusedError as error:
        raise RefusedError(f"{path}: {error.message}", hint=_REMEDY) from error
