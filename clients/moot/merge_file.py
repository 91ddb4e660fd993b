"""`moot merge-file` in the client's own process: git calls it where no daemon may run, and where no town is.

The result takes the place of the second file. Exit codes are those that git knows of its drivers: 0 merged, 1 somebody
has to look at it, and above 128 where nothing was done.
"""

import sys
from pathlib import Path

from moot.console.commands.log.merge_file import merged_lines
from moot.console.text.safe_text import neutralise
from moot_protocol.limits import MIRROR_BYTES
from moot_protocol.mirrors.merging import merge

FAILED = 129
"""What git takes for an error of the driver, so that it doesn't take the file for merged."""


def merge_file(base: str, ours: str, theirs: str) -> int:
    """Merge three files into the second, and return the exit code."""
    try:
        merged = merge(*(_content(path) for path in (base, ours, theirs)))
        # In place: git made the file for this, and looks at it by its name alone.
        Path(ours).write_bytes(merged.content)
    except OSError as error:
        sys.stderr.write(f"moot: {neutralise(str(error.filename))}: {error.strerror}\n")
        return FAILED
    sys.stderr.write("".join(f"{line}\n" for line in merged_lines(merged)))
    sys.stderr.flush()
    return 0 if merged.is_clean else 1


def _content(path: str) -> bytes:
    with Path(path).open("rb") as file:
        content = file.read(MIRROR_BYTES + 1)
    if len(content) > MIRROR_BYTES:
        raise OSError(27, f"more than {MIRROR_BYTES} bytes", path)
    return content
