"""Keys of mirrors: each names one thing, and what belongs to one project can be gone through."""

from mootd.engine.machine import mirror_keys
from mootd.store.memory_store import KEY_BYTES

SCOPE = mirror_keys.mirror_scope(b"p" * 16, "demo")


def test_files_of_one_name_in_two_folders_are_two_mirrors() -> None:
    assert mirror_keys.mirror_key("/a", "b/c") != mirror_keys.mirror_key("/a/b", "c")
    assert mirror_keys.mirror_key("/a", "c") == mirror_keys.mirror_key("/a", "c")


def test_each_project_of_each_plane_has_a_scope_of_its_own() -> None:
    scopes = [mirror_keys.mirror_scope(plane, project) for plane in (b"p" * 16, b"q" * 16) for project in ("a", "b")]
    assert len({*scopes}) == 4


def test_what_is_kept_of_a_project_begins_with_its_scope_and_is_told_apart() -> None:
    line = b"l" * 32
    keys = [
        mirror_keys.mirror_versions(SCOPE),
        mirror_keys.mirror_hash_key(SCOPE, line),
        mirror_keys.mirror_line_key(SCOPE, line),
        mirror_keys.mirror_erased_key(SCOPE, line),
    ]
    assert len({*keys}) == 4
    assert mirror_keys.mirror_line_key(SCOPE, line).startswith(mirror_keys.mirror_line_key(SCOPE))
    assert mirror_keys.mirror_erased_key(SCOPE, line).startswith(mirror_keys.mirror_erased_key(SCOPE))
    assert not any(key.startswith(mirror_keys.MIRRORS) for key in keys)
    assert all(len(key) <= KEY_BYTES for key in keys)
