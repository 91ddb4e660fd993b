"""Every limit is a positive number with a unit and a reason, and together they keep the promises between them."""

import ast
from hashlib import shake_256
from itertools import pairwise
from pathlib import Path

from moot_protocol import limits
from moot_protocol.ids import ID_CHARS
from moot_protocol.sealing.frame import seal

NAMES = sorted(name for name in vars(limits) if name.isupper() and name not in {"KIB", "MIB"})


def test_a_limit_is_a_positive_whole_number() -> None:
    values = {name: getattr(limits, name) for name in NAMES}
    assert values
    assert not [name for name, value in values.items() if type(value) is not int or value <= 0]


def test_a_limit_says_its_unit_in_its_name_or_has_words_for_it() -> None:
    words = documented()
    assert not [name for name in NAMES if not name.endswith(("_BYTES", "_CHARS", "_MS")) and not words[name]]


def documented() -> dict[str, str]:
    """Each limit's words: the string that follows its assignment."""
    body = ast.parse(Path(limits.__file__).read_text(encoding="utf-8")).body
    words = {}
    for statement, following in pairwise(body):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            text = following.value if isinstance(following, ast.Expr) else None
            words[statement.target.id] = str(text.value) if isinstance(text, ast.Constant) else ""
    return words


def test_an_event_fits_a_batch_with_the_largest_header_it_can_have_by_itself() -> None:
    assert limits.EVENT_BYTES + 1024 < limits.BATCH_BYTES


def test_a_batch_fits_the_frames_it_travels_in() -> None:
    message = shake_256(b"nothing of it compresses").digest(limits.BATCH_BYTES + limits.KIB)
    assert len(seal(bytes(32), bytes(16), bytes(12), message)) < limits.LIVE_FRAME_BYTES < limits.FRAME_BYTES
    assert limits.BATCH_BYTES < limits.SYNC_MESSAGE_BYTES
    assert limits.BATCH_BYTES < limits.ASIDE_BYTES_PER_AUTHOR


def test_a_full_author_table_leaves_room_for_an_event() -> None:
    assert limits.BATCH_AUTHORS * 34 + 1024 < limits.BATCH_BYTES
    assert limits.OVER_PER_KEY <= limits.BATCH_AUTHORS


def test_a_text_field_fits_an_event() -> None:
    names = limits.ENTITY_BYTES + limits.ACTOR_BYTES + limits.KIND_BYTES + limits.KEY_BYTES + limits.SALT_BYTES
    assert limits.TEXT_BYTES + names + 100 < limits.EVENT_BYTES


def test_an_issue_id_with_the_longest_prefix_is_an_entitys() -> None:
    assert limits.ID_PREFIX_CHARS + 1 + ID_CHARS <= limits.ENTITY_BYTES


def test_an_entity_fits_a_key_of_the_store_beside_its_plane_and_kind() -> None:
    assert limits.ENTITY_BYTES + limits.KIND_BYTES + 16 + 64 <= 511


def test_the_limits_of_the_format_are_those_of_version_1() -> None:
    """They decide what is accepted: another number here is another format."""
    assert (limits.EVENT_BYTES, limits.BATCH_BYTES, limits.BATCH_EVENTS) == (65_536, 98_304, 256)
    assert (limits.KEY_BYTES, limits.KIND_BYTES, limits.ENTITY_BYTES, limits.ACTOR_BYTES) == (64, 32, 192, 255)
    assert (limits.KEYS_PER_EVENT, limits.OVER_PER_KEY, limits.BATCH_AUTHORS) == (128, 1024, 1024)
    assert (limits.NESTING, limits.SALT_BYTES, limits.TEXT_BYTES) == (16, 16, 61_440)
    assert (limits.CLOCK_AHEAD_MS, limits.EPOCH_PREDECESSORS) == (600_000, 16)
