"""Secrets in addresses: which addresses are refused for them, which aren't, and that no refusal repeats one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import Code, RefusedError
from moot_protocol.trust.ticket import without_credentials
from mootd.edges.address_secrets import Secret, check_no_secret, secret_in

RANDOM = "9xQ2mT7vK4pL8sW1zR6yB3nH"
JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ."
SENDER = "0123456789abcdef" * 2
UUID = "4f5a6b7c-0011-2233-4455-66778899aabb"


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
        "https://Build-Service-Account-2024@example.org/ledger.git",
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
        # A path with an @, in scp's short form: no server is named behind it.
        "host:repo@2",
        "host:repo@2.git",
        "host:repo@2.git/",
        "host:repo@1.2.3",
        "host:repo@2/ledger.git",
        "host:ledger@home/x.git",
        "host:@home/x.git",
        "host:a@b@c",
        "[host:22]:repo@2",
        "host:team/alice@example.org/x.git",
        "host:team/alice@home:x.git",
        # One with a server behind the @, that says to be a path.
        "host:./alice@example.org/x.git",
        "host:./alice@example.org:x.git",
        "host:~/alice@example.org:x.git",
        "host:/srv/alice@example.org:x.git",
        # Brokers.
        "mqtt://example.org",
        "mqtts://alice@example.org:8883",
        f"mqtts://{SENDER}@example.org",
        f"mqtts://{UUID}@example.org",
        "mqtts://averyveryverylongcompanyname2@example.org",
        "mqtt://DeviceGateway-EU-West-1A@example.org",
        "mqtt://alice%40example.org@example.org",
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
        ("alice:hunter2@example.org", Secret.PASSWORD),
        ("alice:hunter2@127.0.0.1/x.git", Secret.PASSWORD),
        ("alice:hunter2@localhost/x.git", Secret.PASSWORD),
        ("alice:hunter2@[::1]:x.git", Secret.PASSWORD),
        ("alice:hunter2@server:x.git", Secret.PASSWORD),
        ("alice:h@unter2@server:x.git", Secret.PASSWORD),
        ("alice:hunter2@server:x@2", Secret.PASSWORD),
        ("alice:hunter2@server:x/y@2", Secret.PASSWORD),
        ("alice:hun/ter2@example.org:x.git", Secret.PASSWORD),
        ("https://ghp_hunter2@example.org/x.git", Secret.TOKEN),
        ("https://github%5Fpat_hunter2@example.org/x.git", Secret.TOKEN),
        ("https://glpat-hunter2@example.org/x.git", Secret.TOKEN),
        ("ssh://ghp_hunter2@example.org/x.git", Secret.TOKEN),
        ("ghp_hunter2@example.org:x.git", Secret.TOKEN),
        (f"https://{RANDOM}hunter2@example.org/x.git", Secret.TOKEN),
        ("https://0123456789abcdef0123456789abcdefhunter2@example.org/x.git", Secret.TOKEN),
        ("https://hunter2-4f5a6b7c-0011-2233-4455-66778899aabb@example.org/x.git", Secret.TOKEN),
        ("https://hunter2=1@example.org/x.git", Secret.TOKEN),
        ("https://hunter2-xK3_9sd-J2kLm4Qp7@example.org/x.git", Secret.TOKEN),
        (f"https://example.org/hunter2/{JWT}/x.git", Secret.TOKEN),
        (f"ssh://{JWT}hunter2@example.org/x.git", Secret.TOKEN),
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


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("mqtt://alice:hunter2@example.org", Secret.PASSWORD),
        ("mqtts://ghp_hunter2@example.org", Secret.TOKEN),
        ("mqtts://github_pat_hunter2@example.org", Secret.TOKEN),
        ("MQTTS://glpat-hunter2@example.org", Secret.TOKEN),
        (f"mqtts://{JWT}hunter2@example.org", Secret.TOKEN),
        (f"mqtts://{RANDOM}hunter2@example.org", Secret.TOKEN),
        (f"mqtts://hunter2%20{RANDOM}@example.org", Secret.TOKEN),
        ("mqtt://example.org?hunter2", Secret.QUERY),
    ],
)
def test_of_a_broker_s_address_with_a_secret_it_is_told_where_that_belongs(address: str, found: Secret) -> None:
    assert secret_in(address) is found
    with pytest.raises(RefusedError, match=f"{found} stands in this one") as caught:
        check_no_secret(address)
    assert "hunter2" not in caught.value.message + caught.value.hint
    assert "--password-file" in caught.value.hint


def test_of_a_path_with_what_looks_like_a_server_it_is_told_how_to_write_it() -> None:
    with pytest.raises(RefusedError) as caught:
        check_no_secret("host:alice@example.org/x.git")
    assert "./" in caught.value.hint
    check_no_secret("host:./alice@example.org/x.git")


@given(st.from_regex(r"[ab.]{1,3}:[ab.:@/]{1,12}", fullmatch=True))
def test_of_an_address_in_short_form_that_is_taken_tickets_leave_nothing_out(address: str) -> None:
    if secret_in(address) is None and "://" not in address:
        assert without_credentials(address) == address


@given(st.text(max_size=200))
def test_any_text_is_looked_at_without_a_failure(address: str) -> None:
    secret_in(address)
    secret_in(f"https://{address}")


def test_an_address_of_any_length_is_looked_at_in_time() -> None:
    # A search that takes the square of the length takes many minutes for these, and the test's own time runs out.
    for part in ("a", ":", "@", "a@", "a:", "a.", "a@b.", "aB1", "eyJ", "%", "ghp_", "-", "a" * 19 + "-"):
        secret_in("https://" + part * 200_000)
        secret_in("mqtt://" + part * 200_000)
        secret_in("a:" + part * 200_000)
        secret_in(part * 200_000)
