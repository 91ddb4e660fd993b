"""Addresses that are used, and what git says, made fit to be shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import Code, RefusedError
from mootd.edges.git.words import WORDS_CHARS, check_address, plain, refusal, said, without_password
from mootd.remotes import UNREACHED


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/team/ledger.git",
        "https://example.org:8443/ledger.git",
        "https://alice@example.org/ledger.git",
        "https://alice:pass@example.org/ledger.git",
        "http://127.0.0.1:3000/x",
        "http://[::1]:3000/x",
        "ssh://git@example.org:22/~/ledger.git",
        "git://example.org/ledger.git",
        "file:///srv/git/a folder/ledger.git",
        "/srv/git/a folder/ledger.git",
        "git@example.org:team/ledger.git",
        "example:ledger.git",
        "mine:ledger",
        "https://example.org",
    ],
)
def test_addresses_of_remotes_are_taken(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        " ",
        "ledger.git",
        "./ledger.git",
        "../ledger.git",
        "~/ledger.git",
        "-uexec",
        "--upload-pack=touch x",
        "-oProxyCommand=x:y",
        "ext::sh -c id",
        "fd::17",
        "transport::address",
        "ftp://example.org/x",
        "HTTPS://example.org/x",
        "file://relative",
        "file://host/path",
        "ssh://-oProxyCommand=id/x",
        "ssh://alice@-oProxyCommand=id/x",
        "ssh://-alice@example.org/x",
        "alice@-host:x",
        "https:///x",
        "https://exam ple.org/x",
        "https://example.org/x\n",
        "https://example.org/\x1b[31m",
        "https://example.org/" + "x" * 2048,
        "example.org:",
        "/srv/\0",
    ],
)
def test_everything_else_is_no_address(address: str) -> None:
    with pytest.raises(RefusedError) as caught:
        check_address(address)
    assert caught.value.code is Code.INVALID
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < WORDS_CHARS + 50


def test_what_is_wrong_with_an_address_is_said_without_its_password() -> None:
    with pytest.raises(RefusedError) as caught:
        check_address("ftp://alice:hunter2@example.org/x")
    assert "hunter2" not in caught.value.message
    assert "ftp://example.org/x" in caught.value.message


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("https://alice:hunter2@h/x", "fatal: unable to access 'https://alice:hunter2@h/x/': no"),
        ("https://alice:hunter2@h/x", "fatal: Authentication failed for 'https://alice:hunter2@h/y'"),
        ("https://alice:hunter2@h/x", "remote: you said hunter2"),
        ("https://alice:hunter2%40@h/x", "remote: you said hunter2@"),
        ("https://alice:hunter2@@h/x", "see https://alice:hunter2@@h/x"),
        ("https://hunter2@h/x", "see https://hunter2@h/x"),
        ("https://h/x?t=hunter2", "fatal: repository 'https://h/x?t=hunter2/' not found"),
        ("/srv/x", "redirected to ssh://bob:hunter2@elsewhere/x"),
    ],
)
def test_no_password_is_shown(address: str, text: str) -> None:
    assert "hunter2" not in without_password(text, address)
    assert "hunter2" not in said(text.encode(), address)


def test_an_address_without_a_password_stays_as_it_is() -> None:
    text = "fatal: unable to access 'https://example.org/a@b/': mail bob@example.org"
    assert without_password(text, "https://example.org/a@b") == text


@given(st.binary(max_size=2000))
def test_whatever_git_says_becomes_one_short_line(stderr: bytes) -> None:
    words = said(stderr, "https://example.org/x")
    assert words.isprintable()
    assert len(words) <= WORDS_CHARS


@given(st.text())
def test_plain_text_is_printable_and_stays_so(text: str) -> None:
    assert plain(text).isprintable()
    assert plain(plain(text)) == plain(text)


def test_signs_that_turn_text_around_or_colour_it_are_replaced() -> None:
    assert plain("a\x1b[31mb\u202ec\u200bd\x9be") == "a\ufffd[31mb\ufffdc\ufffdd\ufffde"
    assert plain("two\nlines\tand  a tab") == "two lines and a tab"
    assert plain("x" * 301) == "x" * 299 + "…"


def test_progress_is_left_out_of_what_git_says() -> None:
    stderr = (
        b"remote: Enumerating objects: 5, done.        \nremote: Counting objects:  20% (1/5)\r"
        b"remote: Counting objects: 100% (5/5), done.\n"
        b"remote: Total 3 (delta 0), reused 0 (delta 0)\nReceiving objects:  50% (1/2)\r"
        b"From https://example.org/x\n * [new ref]   refs/moot/a -> refs/incoming/a\n   1234abc..5678def  a -> b\n"
        b"hint: look it up\nremote: \nfatal: early EOF\nerror: index-pack failed\n"
    )
    assert said(stderr, "https://example.org/x") == "fatal: early EOF; error: index-pack failed"


@pytest.mark.parametrize("begin", ["fatal", "error", "remote: fatal"])
def test_what_is_wrong_with_a_folder_of_objects_is_no_progress(begin: str) -> None:
    told = f"{begin}: unable to create objects/pack/tmp_pack_5: No space left on device"
    assert said(told.encode(), "/srv/x") == told


@pytest.mark.parametrize(
    ("stderr", "code"),
    [
        (
            b"git@example.org: Permission denied (publickey).\nfatal: Could not read from remote repository.",
            Code.DENIED,
        ),
        (b"fatal: Authentication failed for 'https://example.org/x'", Code.DENIED),
        (b"fatal: could not read Username for 'https://example.org': terminal prompts disabled", Code.DENIED),
        (b"Host key verification failed.\nfatal: Could not read from remote repository.", Code.DENIED),
        (b"remote: Permission to a/b.git denied to c.\nfatal: The requested URL returned error: 403", Code.DENIED),
        (b"fatal: '/srv/x' does not appear to be a git repository", Code.INVALID),
        (b"fatal: repository 'https://example.org/x/' not found", Code.INVALID),
        (b"fatal: transport 'ext' not allowed", Code.INVALID),
        (b"fatal: mismatched algorithms: client sha1; server sha256", Code.INVALID),
        (b"fatal: unable to connect to example.org: Connection refused", Code.UNREACHABLE),
        (b"ssh: Could not resolve hostname example.org: Name or service not known", Code.UNREACHABLE),
        (b"fatal: the remote end hung up unexpectedly", Code.UNREACHABLE),
        (b"", Code.UNREACHABLE),
        (b"ssh: connect to host example.org port 22: Connection timed out", Code.TIMEOUT),
        (b"fatal: unable to access 'https://example.org/x/': Operation too slow. Less than 1 bytes/sec", Code.TIMEOUT),
    ],
)
def test_what_git_says_tells_who_can_help(stderr: bytes, code: Code) -> None:
    error = refusal(stderr, "https://example.org/x", "cannot fetch")
    assert error.code is code
    assert error.retryable is (code in UNREACHED)
    assert error.message.startswith("cannot fetch: ")
    assert bool(error.hint) is (code not in UNREACHED)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "words", ["a" * 64_000, "Total " * 11_000, "://" * 21_000, "a\n" * 32_000, "a" * 64_000 + "://x"]
)
def test_words_of_a_remote_without_end_are_told_by_their_beginning(words: str) -> None:
    told = said(f"remote: {words}\nfatal: it is broken\n".encode(), "https://alice:hunter2@example.org/x")
    assert told.startswith("remote: ") or words[1] == "\n"
    assert len(told) <= WORDS_CHARS


def test_a_long_line_is_cut_before_it_is_looked_at_and_never_through_a_password() -> None:
    address = "https://alice:hunter2@example.org/x"
    assert said(b"fatal:" + b" " * 1000 + address.encode(), address) == "fatal: https://example.or"
    assert said(b"x" * 2000 + b" deltas 7", address).startswith("xxx")  # what is cut off makes it no progress
