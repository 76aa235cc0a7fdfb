"""Where webhooks arrive is checked before anything is sent."""

import base64
import dataclasses
from typing import Any

import pytest

from nbp_async._base.errors import ConfigError
from nbp_async._base.secret import Secret
from nbp_async._webhooks.webhook import Webhook, why_unreachable

SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.org",
        "https://hooks.example.org/base/",
        "https://203.0.114.9:8443",
        "https://[2606:4700::1]/x",
    ],
)
def test_a_public_https_address_is_fine(url: str) -> None:
    hook = Webhook(public_url=url, port=8787, secret=SECRET, path="in")
    assert hook.address(8787) == url.rstrip("/") + "/in"


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org",
        "ftp://hooks.example.org",
        "hooks.example.org",
        "https://",
        "https://10.0.0.8",
        "https://192.168.1.2:443/x",
        "https://169.254.169.254",
        "https://100.64.1.1",
        "https://[fd00::1]",
        "https://[::ffff:10.0.0.1]",
        "https://2130706434",
        "https://0x7f000002",
        "https://010.0.0.1",
        "https://10.1",
        "https://server",
        "https://db.internal",
        "https://nas.local.",
        "https://a:b@hooks.example.org",
        "https://hooks.example.org/?a=b",
        "https://hooks.example.org/#x",
        "https://hooks.example.org\\\\@10.0.0.1",
        "https://hooks.example.org:99999",
        "https://[::1",
        "https://hooks.example.org/a b",
        "https://hooks.éxample.org",
    ],
)
def test_what_a_service_cannot_or_should_not_reach_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="Nothing was sent"):
        Webhook(public_url=url, port=8787, secret=SECRET)


def test_inner_addresses_are_fine_where_that_is_said() -> None:
    assert why_unreachable("http://10.0.0.8/x", allow_private=True) == ""
    assert why_unreachable("http://127.0.0.1:99/x", allow_private=False) == ""


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"secret": ""},
        {"secret": []},
        {"secret": "short"},
        {"secret": "whsec_%%"},
        {"secret": "whsec_AAAA"},
        {"secret": "whpk_AAAA"},
        {"secret": SECRET, "scheme": "svix"},
        {"secret": SECRET, "scheme": "none"},
        {"secret": SECRET, "scheme": "fal"},
        {"scheme": "kie"},
        {"scheme": "kie", "secret": "too short"},
        {"secret": SECRET, "host": "0.0.0.0"},
        {"secret": SECRET, "port": 70_000},
        {"secret": SECRET, "public_url": "https://hooks.example.org"},
        {"secret": SECRET, "path": "a/b"},
        {"secret": SECRET, "path": ""},
        {"scheme": "none", "path": "guessable"},
        {"secret": SECRET, "max_body": 0},
    ],
)
def test_what_cannot_work_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Webhook(**settings)


def test_neither_its_secret_nor_its_path_is_shown() -> None:
    hook = Webhook(secret=[SECRET, Secret(SECRET)], path="not-to-be-seen")
    assert SECRET not in repr(hook)
    assert "not-to-be-seen" not in repr(hook)
    with pytest.raises(TypeError, match="not pickled"):
        dataclasses.asdict(hook)


def test_two_of_them_are_never_at_the_same_address() -> None:
    paths = {Webhook(scheme="none").path for _ in range(100)}
    assert len(paths) == 100
    assert min(len(path or "") for path in paths) >= 32
