"""Secrets in addresses: which addresses are refused for them, which aren't, and that no refusal repeats one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import Code, RefusedError
from mootd.edges.git.secrets import Secret, check_no_secret, secret_in

RANDOM = "9xQ2mT7vK4pL8sW1zR6yB3nH"


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/team/ledger.git",
        "https://example.org:8443/team@home/ledger.git",
        "http://[::1]:3000/x@y",
        "https://alice@example.org/ledger.git",
        "https://alice.b+c-d_e@example.org/ledger.git",
        "https://alice%40example.org@example.org/ledger.git",
        "https://CORP%5Calice@example.org/ledger.git",
        "https://x-access-token@example.org/ledger.git",
        "https://alice.miller-at-123456789012@git-codecommit.example.org/v1/repos/ledger",
        "https://averyveryverylongcompanyname@example.org/ledger.git",
        "ssh://git@example.org:22/~/ledger.git",
        "ssh://APKAEIBAERJR2EXAMPLE@git-codecommit.example.org/v1/repos/ledger",
        "ssh://codeserver.dev.4f5a6b7c-0011-2233-4455-66778899aabb@codeserver.example.org/~/repository.git",
        "ssh://git@example.org/a?b#c",
        "git@example.org:team/ledger.git",
        "git@example.org:team@home/ledger.git",
        "example.org:ledger.git",
        "example.org:/srv/team@home/ledger.git",
        "gh:alice/ghp_notes",
        "git://example.org/ledger.git",
        "file:///srv/git/why?/a:b@c#1",
        f"/srv/ghp_{RANDOM}/a:b@c",
    ],
)
def test_an_address_without_a_secret_is_taken(address: str) -> None:
    assert secret_in(address) is None
    check_no_secret(address)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("https://alice:hunter2@example.org/x.git", Secret.PASSWORD),
        ("https://alice:@example.org/x.git", Secret.PASSWORD),
        ("https://:hunter2@example.org/x.git", Secret.PASSWORD),
        ("https://alice%3Ahunter2@example.org/x.git", Secret.PASSWORD),
        ("https://alice:hun/ter2@example.org/x.git", Secret.PASSWORD),
        ("https://alice:h@unter2@example.org/x.git", Secret.PASSWORD),
        ("ssh://alice:hunter2@example.org/x.git", Secret.PASSWORD),
        ("HTTPS://alice:hunter2@example.org/x.git", Secret.PASSWORD),
        ("alice:hunter2@example.org:x.git", Secret.PASSWORD),
        ("alice:hunter2@example.org/x.git", Secret.PASSWORD),
        ("https://ghp_hunter2@example.org/x.git", Secret.TOKEN),
        ("https://github%5Fpat_hunter2@example.org/x.git", Secret.TOKEN),
        ("https://glpat-hunter2@example.org/x.git", Secret.TOKEN),
        ("ssh://ghp_hunter2@example.org/x.git", Secret.TOKEN),
        ("ghp_hunter2@example.org:x.git", Secret.TOKEN),
        (f"https://{RANDOM}hunter2@example.org/x.git", Secret.TOKEN),
        ("https://0123456789abcdef0123456789abcdefhunter2@example.org/x.git", Secret.TOKEN),
        ("https://hunter2-4f5a6b7c-0011-2233-4455-66778899aabb@example.org/x.git", Secret.TOKEN),
        ("https://hunter2=1@example.org/x.git", Secret.TOKEN),
        (f"https://example.org/hunter2/glpat-{RANDOM}/x.git", Secret.TOKEN),
        (f"https://example.org/hunter2/ghp%5F{RANDOM}/x.git", Secret.TOKEN),
        ("https://example.org/x.git?private_token=hunter2", Secret.QUERY),
        ("https://example.org?hunter2", Secret.QUERY),
        ("https://example.org/x.git#hunter2", Secret.QUERY),
        ("git://example.org/x.git?hunter2", Secret.QUERY),
    ],
)
def test_an_address_with_a_secret_is_refused_and_the_secret_not_repeated(address: str, found: Secret) -> None:
    assert secret_in(address) is found
    with pytest.raises(RefusedError, match=f"{found} stands in this one") as caught:
        check_no_secret(address)
    assert caught.value.code is Code.INVALID
    assert "hunter2" not in caught.value.message + caught.value.hint
    assert "credential helper" in caught.value.hint


@given(st.text(max_size=200))
def test_any_text_is_looked_at_without_a_failure(address: str) -> None:
    secret_in(address)
    secret_in(f"https://{address}")


def test_an_address_of_any_length_is_looked_at_in_time() -> None:
    for part in ("a", ":", "@", "a@", "a:", "%", "ghp_", "-", "a" * 19 + "-"):
        secret_in("https://" + part * 20_000)
        secret_in(part * 20_000)
