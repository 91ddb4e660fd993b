"""The files that this process was loaded from, and whether others were put in their places since.

A daemon lives on with what it has loaded; what it loads later comes from the files as they are then. One file stands
for all: installers write each of them anew, and the one that names the release changes with every release.
"""

from pathlib import Path

from mootd import version


class Installed:
    """What is installed, compared with how it was when this was made, at the start.

    Args:
        path: the file that stands for all.
    """

    def __init__(self, path: str | Path = version.__file__) -> None:
        self._path = Path(path)
        self._at_start = self._stamp()
        self._is_told = False

    def is_replaced(self) -> bool:
        """Whether it was replaced or removed. One look at a file; never for what lies in an archive."""
        return self._at_start is not None and self._stamp() != self._at_start

    def is_news(self) -> bool:
        """Whether it was, and this hasn't said so before."""
        if self._is_told or not self.is_replaced():
            return False
        self._is_told = True
        return True

    def _stamp(self) -> tuple[int, int] | None:
        """When the file was written, in nanoseconds, and its size in bytes; None where there is none."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size
