"""`nbp auth`: where a key is kept, who may read it, and which host it is sent to."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from nbp_async import ConfigError
from nbp_async._base.secret import Secret
from nbp_async._vendors.profiles import PROFILES, find_profile
from nbp_async.cli.app import app
from nbp_async.cli.key_file import (
    StoredKey,
    chosen_key,
    chosen_profile,
    read_keys,
    write_keys,
)

KEY = "sk-relay-0123456789abcdef"
RELAY = "https://relay.example/v1"


def nbp(*words: str, path: Path, text: str = "", **others: str) -> Result:
    named = {"NBP_API_KEY", "NBP_BASE_URL", "NBP_ENDPOINT"}
    named |= {name for profile in PROFILES.values() for name in profile.key_names}
    env: Mapping[str, str | None] = {
        **dict.fromkeys(named),
        "NBP_KEY_FILE": str(path),
        **others,
    }
    unasked = ("--no-check",) if words[0] == "set" else ()
    return CliRunner().invoke(app, ["auth", *words, *unasked], input=text, env=env)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config" / "keys.toml"


def test_a_key_is_kept_for_its_owner_alone_and_never_shown(path: Path) -> None:
    done = nbp("set", "--endpoint", RELAY, path=path, text=f"{KEY}\n")
    assert done.exit_code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "…cdef, for https://relay.example" in done.stderr
    assert done.stdout == ""
    said = nbp("status", path=path)
    assert said.stdout == f"relay.example: …cdef from {path}, sent to https://relay.example\n"
    assert KEY not in done.output + said.output
    assert [p.name for p in path.parent.iterdir()] == ["keys.toml"]


def test_the_environment_goes_first_and_says_so(path: Path) -> None:
    nbp("set", "--endpoint", "apiyi", path=path, text=KEY)
    done = nbp("set", "--endpoint", "apiyi", path=path, text=KEY, APIYI_API_KEY="k" * 20)
    assert "APIYI_API_KEY is set, and is used instead." in done.stderr
    assert "from APIYI_API_KEY" in nbp("status", path=path, APIYI_API_KEY="k" * 20).stdout


def test_a_key_goes_to_its_own_host_alone(path: Path) -> None:
    nbp("set", "--endpoint", "apiyi", path=path, text=KEY)
    environ = {"NBP_KEY_FILE": str(path)}
    assert chosen_key(find_profile("apiyi-gemini"), environ).reveal() == KEY  # the same host
    for other in ("google", "apiyi-http", RELAY):
        with pytest.raises(ConfigError, match="No API key") as caught:
            chosen_key(find_profile(other), environ)
        assert str(path) in str(caught.value)


def test_without_a_word_the_endpoint_is_the_one_whose_key_is_kept(path: Path) -> None:
    environ = {"NBP_KEY_FILE": str(path)}
    assert chosen_profile(None, environ).name == "google"
    nbp("set", "--endpoint", "apiyi", path=path, text=KEY)
    assert chosen_profile(None, environ).name == "apiyi"
    assert chosen_profile(None, environ | {"OPENAI_API_KEY": "k"}).name == "openai"
    assert chosen_profile("google", environ).name == "google"


def test_a_file_that_others_can_read_is_refused(path: Path) -> None:
    nbp("set", "--endpoint", "apiyi", path=path, text=KEY)
    path.chmod(0o644)
    done = nbp("status", "--endpoint", "apiyi", path=path)
    assert done.exit_code == 4
    assert f"chmod 600 {path}" in done.stderr


def test_a_damaged_file_is_not_quoted(path: Path) -> None:
    path.parent.mkdir()
    path.touch(0o600)
    path.write_text(f'["{RELAY}"]\nkey = "{KEY}')
    done = nbp("status", "--endpoint", RELAY, path=path)
    assert done.exit_code == 4
    assert "cannot be read" in done.stderr
    assert KEY not in done.output


def test_a_key_of_another_form_is_kept_with_a_question(path: Path) -> None:
    done = nbp("set", "--endpoint", "google", path=path, text=KEY)
    assert done.exit_code == 0
    said = " ".join(done.stderr.split())
    assert "Keys of google begin with AQ. or AIza, and this one begins like one of openai." in said
    for endpoint, key in (("google", "AQ.Ab8RN6x"), ("openai", KEY), (RELAY, "any-form-at-all")):
        done = nbp("set", "--endpoint", endpoint, path=path, text=key)
        assert "Keys of" not in done.stderr


def test_what_no_header_can_carry_is_not_kept(path: Path) -> None:
    for text in ("", "two words\n", '"sk-in-quotation-marks"\n'):
        done = nbp("set", path=path, text=text)
        assert done.exit_code == 4
        assert not path.exists()


def test_a_key_that_is_removed_is_gone_and_the_last_takes_the_file_along(path: Path) -> None:
    nbp("set", "--endpoint", "apiyi", path=path, text=KEY)
    nbp("set", "--endpoint", RELAY, path=path, text=KEY)
    assert f"also stored: …cdef for {find_profile(RELAY).origin}" in (
        nbp("status", "--endpoint", "apiyi", path=path).stdout
    )
    assert nbp("remove", "--endpoint", RELAY, path=path).exit_code == 0
    assert nbp("remove", "--endpoint", RELAY, path=path).exit_code == 2
    assert nbp("remove", "--endpoint", "apiyi", path=path).exit_code == 0
    assert not path.exists()


@settings(max_examples=25)  # each waits for the disk
@given(
    st.dictionaries(
        st.text("abcz:/.-0", min_size=1),
        st.tuples(st.text(min_size=1, max_size=20), st.text("aZ09-_+/=\"'\\", min_size=1)),
        min_size=1,
    )
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, entries: dict[str, tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("keys") / "keys.toml"
    keys = {o: StoredKey(endpoint=e, key=Secret(k)) for o, (e, k) in entries.items()}
    write_keys(path, keys)
    read = read_keys(path)
    assert {o: (k.endpoint, k.key.reveal()) for o, k in read.items()} == entries
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
