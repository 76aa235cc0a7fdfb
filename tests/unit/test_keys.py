"""Which endpoint and key the environment names, and how endpoints are recognised."""

import pytest

from nbp_async._base.errors import ConfigError
from nbp_async._base.secret import Secret
from nbp_async._vendors.api_keys import check_key, endpoint_from_env, key_from_env
from nbp_async._vendors.profiles import PROFILES, Profile, find_profile, is_loopback


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({}, "google"),
        ({"NBP_ENDPOINT": "apiyi"}, "apiyi"),
        ({"NBP_BASE_URL": "https://x.example/v1", "NBP_ENDPOINT": "apiyi"}, "https://x.example/v1"),
        ({"OPENAI_API_KEY": "k"}, "openai"),
        ({"NBP_API_KEY": "k", "OPENAI_API_KEY": "k"}, "google"),
    ],
)
def test_the_environment_names_the_endpoint(environ: dict[str, str], endpoint: str) -> None:
    assert endpoint_from_env(environ) == endpoint


def test_our_own_variable_goes_before_the_vendor_s_and_the_secret_knows_its_origin() -> None:
    google = PROFILES["google"]
    both = {"GEMINI_API_KEY": "vendor-key-123456", "NBP_API_KEY": "our-key-12345678"}
    assert key_from_env(both, google).origin == "NBP_API_KEY"
    assert key_from_env({"GEMINI_API_KEY": "vendor-key-123456"}, google).origin == "GEMINI_API_KEY"


def test_no_key_says_where_it_was_looked_for() -> None:
    with pytest.raises(ConfigError, match="NBP_API_KEY, GOOGLE_API_KEY, GEMINI_API_KEY"):
        key_from_env({"NBP_API_KEY": "  "}, PROFILES["google"])


def test_a_key_that_no_header_can_carry_is_refused_without_being_shown() -> None:
    for key in ("two words", "new\nline", "schlüssel-öffner"):
        with pytest.raises(ConfigError, match="header") as caught:
            check_key(key, PROFILES["google"])
        assert key not in str(caught.value)
    assert check_key(" padded-key \n", PROFILES["google"]).reveal() == "padded-key"
    secret = Secret("as it is")
    assert check_key(secret, PROFILES["google"]) is secret


def test_an_endpoint_is_a_name_an_address_or_a_profile() -> None:
    assert find_profile("apiyi").base_url == "https://api.apiyi.com/v1"
    assert find_profile("https://api.apiyi.com/v1/").name == "apiyi"
    assert find_profile("https://relay.example/v1beta/").dialect == "gemini"
    assert find_profile("http://127.0.0.1:8000/v1").dialect == "openai_images"
    for bad in ("gogle", "ftp://x.example", "https://user:pw@x.example/v1", "https://x/v1?key=1"):
        with pytest.raises(ConfigError):
            find_profile(bad)


def test_who_pays_is_careful_where_the_vendor_says_nothing() -> None:
    relay = Profile(name="relay", base_url="https://relay.example/v1")
    assert [relay.billing(s) for s in (400, 401, 429, 503)] == ["no"] * 4
    assert [relay.billing(s) for s in (408, 500, 502, 504, 524)] == ["maybe"] * 5
    assert PROFILES["google"].billing(500) == "no"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:8000", True),
        ("localhost:1", True),
        ("[::1]:8000", True),
        ("[::1]", True),
        ("10.0.0.1", False),
        ("api.example.com", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_loopback_is_this_machine(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("variable", "base_url"),
    [
        ("GEMINI_API_KEY", "https://relay.example/v1beta"),
        ("GOOGLE_API_KEY", "https://generativelanguage.googleapis.com.relay.example/v1beta"),
        ("OPENAI_API_KEY", "https://relay.example/v1"),
        ("OPENAI_API_KEY", "http://api.openai.com/v1"),
    ],
)
def test_a_vendor_s_own_variable_goes_to_its_own_hosts_alone(variable: str, base_url: str) -> None:
    relay = Profile(name="relay", base_url=base_url, key_names=(variable, "RELAY_API_KEY"))
    with pytest.raises(ConfigError, match=f"{variable} is set, but it is the key for https://"):
        key_from_env({variable: "vendor-key-123456"}, relay)
    both = {variable: "vendor-key-123456", "RELAY_API_KEY": "relay-key-123456"}
    assert key_from_env(both, relay).origin == "RELAY_API_KEY"
    assert key_from_env(both | {"NBP_API_KEY": "k-0123456789ab"}, relay).origin == "NBP_API_KEY"


def test_other_addresses_of_its_hosts_may_have_it() -> None:
    other = Profile(
        name="other", base_url="https://api.openai.com/v2", key_names=("OPENAI_API_KEY",)
    )
    assert key_from_env({"OPENAI_API_KEY": "vendor-key-123456"}, other).origin == "OPENAI_API_KEY"
