"""What a store says when it cannot go on: what, where, what became of the data, and what to do."""

import resource
from pathlib import Path

import pytest

from moot_protocol.errors import Code
from moot_testkit.machines.stores import python
from mootd.store.failures import _WORDS, ran_out_of_space, refused

FOLDER = Path("/srv/moot/log")
CHECK_AT_LIMIT = """
import pathlib, resource, signal, sys
from mootd.store.failures import ran_out_of_space
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
file = pathlib.Path(sys.argv[1], "file")
print(ran_out_of_space(file))
"""


@pytest.mark.parametrize("code", sorted(set(_WORDS) - {Code.LIMIT}))
def test_every_refusal_names_the_folder_and_the_reason(code: Code) -> None:
    error = refused(code, FOLDER, "said so")
    assert error.code is code
    assert str(FOLDER) in error.message
    assert "(said so)" in error.message
    assert error.hint


@pytest.mark.parametrize("code", [Code.STORE_FULL, Code.STORE_READ_ONLY, Code.STORE_DAMAGED])
def test_who_lost_a_write_is_told_what_became_of_the_data(code: Code) -> None:
    assert any(words in refused(code, FOLDER, "so").message for words in ("everything before it was", "was changed"))


def test_only_what_may_pass_by_itself_is_worth_another_try() -> None:
    assert {code for code in _WORDS if refused(code, FOLDER, "so").retryable} == {Code.STORE_FULL, Code.BUSY}


def test_braces_in_a_reason_stay_as_they_are() -> None:
    assert "({folder} {0})" in refused(Code.BUSY, FOLDER, "{folder} {0}").message


def test_a_file_with_room_left_did_not_run_out_of_space(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(10))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    assert not ran_out_of_space(file)


@pytest.mark.parametrize(("size", "full"), [(999, False), (1000, True)])
def test_a_file_as_large_as_it_may_be_ran_out_of_space(tmp_path: Path, size: int, full: bool) -> None:
    (tmp_path / "file").write_bytes(bytes(size))
    assert python(CHECK_AT_LIMIT, tmp_path) == str(full)
