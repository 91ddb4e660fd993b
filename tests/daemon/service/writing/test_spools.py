"""Opening and closing a spool: the folder, the token and the row come and go together."""

from pathlib import Path

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.spools import CloseSpool, OpenSpool
from moot_protocol.spool.files import FOLDER, REFUSED, TOKEN_FILE, decode_token
from moot_testkit.towns.spooling import WORKSPACE, SpoolSite, create
from moot_testkit.towns.town import PROJECT
from mootd.engine.spools import PAIR, open_spools, secret_of


def rows(site: SpoolSite) -> int:
    with site.api.member.replica.read() as reader:
        return len(list(open_spools(reader)))


def test_the_token_names_what_it_is_for(site: SpoolSite) -> None:
    token = decode_token((site.path / TOKEN_FILE).read_bytes())
    keys = site.api.member.replica.keys
    assert (token.workspace, token.project, token.plane) == (WORKSPACE, PROJECT, site.api.member.ledger.id.hex())
    assert (token.secret, token.daemon) == (secret_of(keys, site.row), keys.hpke_public(PAIR))
    assert (site.path / TOKEN_FILE).stat().st_mode & 0o777 == 0o600


def test_the_workspace_is_found_from_a_folder_in_it_and_by_where_it_was_made(site: SpoolSite, tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for folder in (str(tmp_path / "deep" / "er"), "/nowhere", "", "relative"):
        answer = site.api.call(OpenSpool(actor="ada", workspace=WORKSPACE, folder=folder))
        assert answer == {"project": PROJECT, "folder": str(tmp_path / FOLDER), "created": False}


def test_a_folder_that_is_another_workspaces_is_not_taken(site: SpoolSite, tmp_path: Path) -> None:
    (tmp_path / ".moot" / "workspace").write_text("another\n")
    with pytest.raises(RefusedError) as caught:
        site.api.call(OpenSpool(actor="ada", workspace=WORKSPACE, folder=str(tmp_path)))
    assert caught.value.code is Code.NOT_FOUND


def test_where_the_folder_cannot_be_made_nothing_is_opened(site: SpoolSite) -> None:
    site.api.call(CloseSpool(actor="ada", workspace=WORKSPACE))
    (site.path / REFUSED).chmod(0o755)
    with pytest.raises(RefusedError, match="open to others"):
        site.api.call(OpenSpool(actor="ada", workspace=WORKSPACE, folder=str(site.folder)))
    assert not rows(site)


def test_closing_takes_token_and_commands_away(site: SpoolSite) -> None:
    site.put(create("one"))
    assert site.api.call(CloseSpool(actor="ada", workspace=WORKSPACE))["closed"]
    assert not (site.path / TOKEN_FILE).exists()
    assert not site.waiting()
    assert not rows(site)
    assert not site.api.call(CloseSpool(actor="ada", workspace=WORKSPACE))["closed"]


def test_a_dry_run_changes_nothing(site: SpoolSite) -> None:
    assert site.api.call(CloseSpool(actor="ada", workspace=WORKSPACE, dry_run=True))["closed"]
    assert rows(site)
    assert (site.path / TOKEN_FILE).exists()
    (site.path / TOKEN_FILE).unlink()
    site.api.call(OpenSpool(actor="ada", workspace=WORKSPACE, folder=str(site.folder), dry_run=True))
    assert not (site.path / TOKEN_FILE).exists()
