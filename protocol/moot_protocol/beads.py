"""Lines of Beads' JSONL files: into an issue's fields, from fields into writes, and back into lines.

An import loses nothing: what doesn't fit the type of its field, empty values and unknown names included, is kept as
JSON text in `extra`, and an exact document gives it back. Only what can't be stored at all is left out, with a
problem that names line and field, and the rest of the line goes in.

Writes come grouped by event. The first carries what is short, free text stands alone but for the time, and the last
carries `updated_at`: it is shown only as long as nothing is written after it.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from moot_protocol import json_text, limits
from moot_protocol.codec import encode
from moot_protocol.errors import RefusedError
from moot_protocol.event import Dot, Write
from moot_protocol.ids import entity_problem
from moot_protocol.issue import (
    CLOSED,
    DELETED_NAMES,
    SHAPES,
    TOMBSTONE,
    IssueReading,
    Shape,
    defaults,
    fits,
)
from moot_protocol.register import MISSING, Live, Sibling
from moot_protocol.times import instant_ns
