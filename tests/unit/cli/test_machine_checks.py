"""What `nbp doctor` finds on this machine, each with a way to fix it."""

import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nbp_async import ClientOptions
from nbp_async._base.secret import Secret
from nbp_async._vendors.profiles import PROFILES, find_profile
from nbp_async.cli import machine_checks
from nbp_async.cli.app import app
from nbp_async.cli.endpoint_checks import ModelsResponse, key_result, no_tls_result

SECRET = Secret("sk-0123456789abcdef", "NBP_API_KEY")
GOOGLE = PROFILES["google"]


def test_too_few_open_files_come_with_the_command_that_lifts_them() -> None:
    found = machine_checks.open_files(1000, soft=256)
    assert found.state == "bad"
    assert found.message == "the limit is 256; 1,000 calls in flight need 2,064"
    assert found.fix == "ulimit -n 4096, or --max-in-flight 96"
    assert machine_checks.open_files(50, soft=256).state == "ok"
    assert "ulimit -n 4096" in machine_checks.open_files_warning(1000, soft=256)
    assert machine_checks.open_files_warning(50, soft=256) == ""


def test_what_held_calls_take_is_said_with_what_would_take_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = machine_checks.held_calls(1000, "https://api.example/v1")
    assert found.state == "ok"
    assert found.message == (
        "1,000 calls in flight over https take about 156.0 MB, 2.1 ms of CPU each; with uvloop "
        '29.0 MB, 1.9 ms of CPU each; with Client(transport="direct") 36.0 MB, 1.4 ms of CPU each'
    )
    monkeypatch.setattr(machine_checks, "find_spec", lambda _: None)
    plain = machine_checks.held_calls(500, "http://127.0.0.1:1/v1")
    assert plain.message == (
        "500 calls in flight over http take about 9.5 MB, 0.9 ms of CPU each; with uvloop (extra "
        '[uvloop]) 9.5 MB, 0.7 ms of CPU each; with Client(transport="direct") (extra [direct]) '
        "6.0 MB, 0.5 ms of CPU each"
    )


def test_a_folder_that_does_not_exist_yet_is_judged_by_where_it_will_be(tmp_path: Path) -> None:
    found = machine_checks.disk(tmp_path / "a" / "b")
    assert found.name == "disk"
    assert str(tmp_path) in found.message
    assert not (tmp_path / "a").exists()


PROXY = "http://user:secret@proxy.example:3128"


@pytest.mark.parametrize(
    ("variables", "options", "state", "says"),
    [
        ({}, {}, "ok", "none is set"),
        ({"HTTPS_PROXY": PROXY}, {}, "warn", "HTTPS_PROXY names proxy.example:3128, which is not"),
        (
            {"HTTPS_PROXY": PROXY},
            {"trust_env": True},
            "ok",
            "by proxy.example:3128, as HTTPS_PROXY",
        ),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "api.example"}, {}, "ok", "none for this endpoint"),
        ({"ALL_PROXY": "socks5://proxy.example"}, {}, "warn", "socks5:// proxies are not"),
        ({"ALL_PROXY": "socks5://proxy.example"}, {"trust_env": True}, "bad", "socks5:// proxies"),
        ({}, {"proxy": PROXY}, "ok", "calls go by proxy.example:3128, as the option says"),
    ],
)
def test_the_proxy_of_calls_is_named_and_one_that_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    options: dict[str, Any],
    state: str,
    says: str,
) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = machine_checks.proxies(ClientOptions(**options), "https://api.example/v1", os.environ)
    assert found.state == state
    assert says in found.message
    assert "secret" not in found.message + found.fix


@pytest.mark.parametrize(
    ("today", "state", "message"),
    [
        (
            date(2026, 8, 29),
            "ok",
            "gemini-3.1-flash-image is switched off on 2026-10-29, in 61 days",
        ),
        (
            date(2026, 8, 30),
            "warn",
            "google switches off gemini-3.1-flash-image on 2026-10-29, in 60 days",
        ),
        (
            date(2026, 10, 28),
            "warn",
            "google switches off gemini-3.1-flash-image on 2026-10-29, in 1 day",
        ),
        (date(2026, 10, 29), "warn", "google switched off gemini-3.1-flash-image on 2026-10-29"),
    ],
)
def test_a_model_that_ends_is_warned_of_for_sixty_days(
    today: date, state: str, message: str
) -> None:
    found = machine_checks.model("gemini-3.1-flash-image", GOOGLE, today)
    assert (found.state, found.message) == (state, message)
    assert bool(found.fix) == (state == "warn")


def test_a_model_without_a_price_is_warned_of() -> None:
    found = machine_checks.model("somebodys-own", GOOGLE, date(2026, 11, 28))
    assert found.state == "warn"
    assert found.message == "somebodys-own has no known price at google"
    assert "--price" in found.fix
    assert machine_checks.model(GOOGLE.model, GOOGLE, date(2026, 11, 28)).state == "ok"


@pytest.mark.parametrize(
    ("remote", "state", "words"),
    [
        (1000.0, "ok", "within 5 s"),
        (1060.0, "warn", "1 m 0 s behind"),
        (600.0, "bad", "6 m 40 s ahead of"),
        (None, "skipped", "did not send its time"),
    ],
)
def test_the_clock_is_compared_with_the_endpoint_s(
    remote: float | None, state: str, words: str
) -> None:
    found = machine_checks.clock(remote, 1000.0)
    assert found.state == state
    assert words in found.message


async def test_the_event_loop_is_named_and_timed() -> None:
    found = await machine_checks.event_loop(ticks=3)
    assert "late by" in found.message


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (ModelsResponse(200, "", None), "ok"),
        (ModelsResponse(401, "", None), "bad"),
        (ModelsResponse(400, '{"reason": "API_KEY_INVALID"}', None), "bad"),
        (ModelsResponse(404, "", None), "skipped"),
        (ModelsResponse(503, "", None), "warn"),
    ],
)
def test_what_the_answer_says_of_the_key(answer: ModelsResponse, state: str) -> None:
    found = key_result(GOOGLE, SECRET, answer)
    assert found.state == state
    assert "0123456789abcdef" not in found.message + found.fix


def test_plain_http_is_warned_of_unless_it_stays_on_this_machine() -> None:
    assert no_tls_result(find_profile("http://relay.example/v1")).state == "warn"
    assert no_tls_result(find_profile("http://127.0.0.1:1/v1")).state == "ok"


def test_offline_and_without_a_key_it_says_what_is_missing(tmp_path: Path) -> None:
    env: dict[str, str | None] = dict.fromkeys(("NBP_API_KEY", *GOOGLE.key_names))
    env |= {"NBP_KEY_FILE": str(tmp_path / "none"), "NBP_BASE_URL": None, "NBP_ENDPOINT": "google"}
    done = CliRunner().invoke(app, ["doctor", "--offline", "--json"], env=env)
    found = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert done.exit_code == 4
    assert found["key"]["state"] == "bad"
    assert "nbp auth set" in found["key"]["fix"]
    assert {"versions", "event loop", "open files", "held calls", "disk", "proxy"} < set(found)
