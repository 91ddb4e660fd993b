"""The entry point of `mootd`.

Loading makes objects by the hundred thousand and next to no garbage, and to look for that would take an eighth of the
start. So it is put off before anything else is loaded; the daemon takes it up again once all is there (`mootd.app`).
"""

import gc
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `mootd` and return its exit code."""
    gc.disable()
    try:
        from mootd.command import run

        return run(arguments)
    finally:
        gc.enable()
