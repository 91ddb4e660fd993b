"""The release, baked in: asking the installed metadata for it would cost 40 ms at every start."""

from typing import Final

VERSION: Final = "0.1.0"
