"""merge-file as a command: reads three files, writes one, and tells what somebody has to look at."""

import json

from moot.console.commands.log.merge_file import SHOWN, merged_lines
from moot_protocol.mirrors.merging import merge
from moot_testkit.clients.console import run_console

BASE = b'{"id":"a","title":"A","priority":1}\n'
FILES = {
    "base": BASE,
    "ours": BASE.replace(b'"A"', b'"Ours"'),
    "theirs": BASE.replace(b"1", b"3"),
    "other": BASE.replace(b'"A"', b'"Other"'),
}


def test_a_clean_merge_writes_our_file_and_says_nothing() -> None:
    ran = run_console("merge-file base ours theirs", files=FILES)
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert json.loads(ran.terminal.files["ours"]) == {"id": "a", "title": "Ours", "priority": 3}


def test_a_disagreement_ends_with_1_and_is_told_on_standard_error() -> None:
    ran = run_console("merge-file base ours other", files=FILES)
    assert (ran.code, ran.out) == (1, "")
    assert '  a title: ours "Ours", theirs "Other"\n' in ran.err
    assert json.loads(ran.terminal.files["ours"])["title"] == "Ours"
    document = run_console("merge-file base ours other --json", files=FILES).document
    assert document["disagreements"] == [{"id": "a", "field": "title", "ours": "Ours", "theirs": "Other"}]


def test_a_file_that_is_not_there_is_told() -> None:
    assert run_console("merge-file base ours none", files=FILES).code == 3


def test_what_is_told_is_safe_short_and_bounded() -> None:
    def file(title: str) -> bytes:
        return b"".join(b'{"id":"a%d","title":%s}\n' % (n, json.dumps(title).encode()) for n in range(SHOWN + 5))

    lines = list(merged_lines(merge(file("A"), file("\x1b[2J" + "x" * 200), file("B"))))
    assert lines[0].startswith(f"{SHOWN + 5} to look at")
    assert lines[-1] == "  and 5 more"
    assert max(map(len, lines)) < 120
    assert not any("\x1b" in line for line in lines)


def test_deletions_and_lines_left_out_are_told() -> None:
    lines = list(merged_lines(merge(BASE, b"", FILES["other"] + b"{\n")))
    assert "  a: deleted in ours, changed in theirs; what was changed is kept" in lines
    assert any(line.startswith("  theirs, line 2: left out") for line in lines)


def test_lines_that_stood_there_before_and_cant_be_read_are_left_out_and_told() -> None:
    files = dict.fromkeys(("base", "ours", "theirs"), BASE + b'{"id":"b\n')
    ran = run_console("merge-file base ours theirs", files=files)
    assert (ran.code, ran.terminal.files["ours"]) == (0, BASE)
    first, second = ran.err.splitlines()
    assert first == "left out, as it can't be read on either side: 1 line that stood there before"
    assert second.startswith("  line 2: no JSON")
    document = run_console("merge-file base ours theirs --json", files=files).document
    assert [each["line"] for each in document["known"]] == [2]
