"""Where a data directory lies: on which machine, and in which folder of its disk. Hashes, nothing else leaves.

A copied home is another folder on, mostly, another machine; a cloned machine has the same folder and, where whoever
cloned it took care, another machine id. Neither is proof: ids are baked into images, and some file systems number
their folders anew at every mount. What is to follow from it the engine decides (`engine/machine/home.py`).
"""

import contextlib
from hashlib import sha256
from pathlib import Path
from typing import Final

from mootd.ports import Home

MACHINE_ID: Final = Path("/etc/machine-id")
_DOMAIN: Final = b"moot/home/1\0"


def home_of(data: Path, machine_id: Path = MACHINE_ID) -> Home:
    """Where a data directory lies now.

    Args:
        data: the data directory, which is there.
        machine_id: the file that holds the machine's id; what can't be read is taken for none.
    """
    machine = b""
    with contextlib.suppress(OSError):  # the folder alone has to tell then
        machine = machine_id.read_bytes().strip()
    folder = str(data.stat().st_ino).encode()
    return Home(_hash(b"machine", machine) if machine else b"", _hash(b"folder", folder))


def _hash(what: bytes, value: bytes) -> bytes:
    return sha256(_DOMAIN + what + b"\0" + value).digest()
