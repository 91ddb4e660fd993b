"""Sandboxes that forbid Unix sockets: a seccomp filter written here, and bubblewrap where it is installed.

Run as a program, it puts the filter on itself and becomes another program, which can't take it off again:

    python sandbox.py socket|connect PROGRAM ARGUMENT…
"""

import ctypes
import os
import platform
import shutil
import struct
import sys
from collections.abc import Callable, Sequence
from errno import EPERM
from pathlib import Path
from typing import Final

_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER_AT, _ARCH_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_AF_UNIX: Final = 1
_MACHINES: Final = {
    "x86_64": (0xC000003E, {"socket": 41, "connect": 42, "sendto": 44}),
    "aarch64": (0xC00000B7, {"socket": 198, "connect": 203, "sendto": 206}),
}
"""Of each machine its architecture as audit calls it, and the numbers of its system calls."""
FILTERS: Final = ("socket", "connect")
"""What is forbidden: to make a Unix socket, as some sandboxes do, or to connect and to send, as others do."""


def program(kind: str) -> bytes:
    """A seccomp filter as classic BPF.

    Args:
        kind: one of FILTERS.
    """
    arch, numbers = _MACHINES[platform.machine()]
    steps = [(_LOAD, 0, 0, _ARCH_AT), (_EQUAL, 1, 0, arch), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NUMBER_AT)]
    if kind == "socket":
        steps += [(_EQUAL, 0, 3, numbers["socket"]), (_LOAD, 0, 0, _FIRST_ARGUMENT_AT), (_EQUAL, 0, 1, _AF_UNIX)]
    else:
        steps += [(_EQUAL, 1, 0, numbers["connect"]), (_EQUAL, 0, 1, numbers["sendto"])]
    steps += [(_RETURN, 0, 0, _ERRNO | EPERM), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def forbid(kind: str) -> None:
    """Put a filter on this process and all that it becomes or starts, for good."""
    code = program(kind)
    instructions = ctypes.create_string_buffer(code, len(code))
    described = struct.pack("@HP", len(code) // 8, ctypes.addressof(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    for call in (
        (_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero),
        (_SET_SECCOMP, ctypes.c_ulong(_FILTER), described),
    ):
        if libc.prctl(*call) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


# -- Commands in sandboxes ---------------------------------------------------------------------------------------
_PYTHON: Final = (sys.executable, "-I", "-S")
"""Starts at once: what is installed isn't looked for, since nothing of it is needed."""
Wrap = Callable[[Sequence[str], Path], list[str]]
"""Makes a command line that runs a command in a sandbox, in which one folder can be written to."""


def _filtered(kind: str) -> Wrap:
    def wrap(command: Sequence[str], writable: Path) -> list[str]:
        del writable
        return [*_PYTHON, __file__, kind, *command]

    return wrap


def _bubble(command: Sequence[str], writable: Path) -> list[str]:
    """Nothing can be written but one folder, and no socket made."""
    inside = [*_PYTHON, __file__, "socket", *command]
    return ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--bind", str(writable), str(writable), "--", *inside]


def sandboxes() -> dict[str, Wrap]:
    """The sandboxes that this machine has, by name."""
    found: dict[str, Wrap] = {f"seccomp-{kind}": _filtered(kind) for kind in FILTERS}
    if shutil.which("bwrap"):
        found["bwrap"] = _bubble
    return found


if __name__ == "__main__":
    forbid(sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - what the test names
