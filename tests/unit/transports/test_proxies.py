"""Which proxy an address goes by, and what nobody is shown of it."""

import pytest

from nbp_async import ClientOptions, ConfigError
from nbp_async._transports.proxies import ProxyAddress, choose_proxies

SECRET = "pa55word"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("https://proxy.example/", "https://proxy.example:443"),
        (f"http://anna:{SECRET}@10.0.0.1:8080", "http://10.0.0.1:8080"),
        (" http://[fd00::1]:3128 ", "http://[fd00::1]:3128"),
        ("http://PROXY.Example", "http://proxy.example:80"),
    ],
)
def test_an_address_is_read(given: str, url: str) -> None:
    proxy = ProxyAddress(given, "proxy")
    assert proxy.url == url
    assert SECRET not in f"{proxy!r} {proxy} {proxy.authorization!r}"


def test_credentials_are_read_as_they_are_escaped() -> None:
    proxy = ProxyAddress("http://an%40na:p%3A%2F%C3%A4@proxy.example", "proxy")
    assert proxy.headers == {"Proxy-Authorization": "Basic YW5AbmE6cDovw6Q="}
    assert ProxyAddress("http://proxy.example", "proxy").headers == {}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (f"socks5://anna:{SECRET}@proxy.example", "socks5:// proxies are not supported"),
        (f"http://anna:{SECRET}/@proxy.example", "as %2F"),
        (f"http://anna:{SECRET}#@proxy.example", "as %23"),
        (f"http://anna:{SECRET}@proxy.example:port", "such as"),
        (f"http://anna:{SECRET}@proxy.example/path", "such as"),
        (f"http://anna:{SECRET}\n@proxy.example", "such as"),
        ("http://", "such as"),
        ("", "such as"),
    ],
)
def test_what_is_no_proxy_is_refused_without_its_password(given: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        ClientOptions(proxy=given)
    assert caught.value.option == "proxy"
    assert SECRET not in repr(caught.value) + str(caught.value)


def test_options_do_not_show_a_password() -> None:
    options = ClientOptions(proxy=f"http://anna:{SECRET}@proxy.example")
    assert SECRET not in repr(options)
    assert "proxy.example" in repr(options)


def found(environ: dict[str, str], url: str, proxy: str = "") -> str:
    given = ProxyAddress(proxy, "proxy") if proxy else None
    return str(choose_proxies(given, environ).find(url) or "")


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({"HTTPS_PROXY": "a:1"}, "https://x.example/v1", "a:1"),
        ({"HTTPS_PROXY": "a:1"}, "http://x.example/v1", ""),
        ({"HTTP_PROXY": "a:1"}, "http://x.example/v1", "a:1"),
        ({"HTTP_PROXY": "a:1"}, "https://x.example/v1", ""),
        ({"ALL_PROXY": "a:1"}, "https://x.example/v1", "a:1"),
        ({"ALL_PROXY": "a:1", "https_proxy": "b:2"}, "https://x.example/v1", "b:2"),
        ({"HTTPS_PROXY": "a:1", "https_proxy": "b:2"}, "https://x.example/v1", "b:2"),
        ({"HTTPS_PROXY": " "}, "https://x.example/v1", ""),
        ({"HTTP_PROXY": "a:1", "REQUEST_METHOD": "GET"}, "http://x.example/v1", ""),
        ({"http_proxy": "a:1", "REQUEST_METHOD": "GET"}, "http://x.example/v1", "a:1"),
        ({"HTTPS_PROXY": "a:1", "HTTP_PROXY": "a:1"}, "http://127.0.0.1:80/v1", ""),
        ({"HTTPS_PROXY": "a:1", "HTTP_PROXY": "a:1"}, "https://localhost/v1", ""),
        (
            {"ALL_PROXY": "socks5://s:1", "HTTPS_PROXY": "a:1", "HTTP_PROXY": "a:1"},
            "https://x",
            "a:1",
        ),
    ],
)
def test_the_environment_names_proxies_as_everywhere(
    environ: dict[str, str], url: str, proxy: str
) -> None:
    assert found(environ, url) == proxy


@pytest.mark.parametrize(
    ("entry", "url", "goes_directly"),
    [
        ("*", "https://x.example/", True),
        ("x.example", "https://x.example/", True),
        ("X.Example", "https://x.example/", True),
        ("x.example", "https://api.x.example/", True),
        (".x.example", "https://api.x.example/", True),
        ("*.x.example", "https://api.x.example/", True),
        ("x.example", "https://notx.example/", False),
        ("y.example, x.example", "https://x.example/", True),
        ("y.example x.example", "https://x.example/", True),
        ("x.example:443", "https://x.example/", True),
        ("x.example:8443", "https://x.example/", False),
        ("10.0.0.0/8", "https://10.1.2.3/", True),
        ("10.0.0.0/8", "https://11.1.2.3/", False),
        ("10.1.2.3", "https://10.1.2.3:99/", True),
        ("fd00::/8", "https://[fd00::1]/", True),
        ("[fd00::1]:443", "https://[fd00::1]/", True),
        ("10.0.0.0/8", "https://x.example/", False),
        (",", "https://x.example/", False),
    ],
)
def test_no_proxy_names_what_goes_directly(entry: str, url: str, goes_directly: bool) -> None:
    environ = {"HTTPS_PROXY": "a:1", "NO_PROXY": entry}
    assert found(environ, url) == ("" if goes_directly else "a:1")
    assert found({"no_proxy": entry}, url, proxy="b:2") == ("" if goes_directly else "b:2")


def test_a_proxy_of_the_environment_that_cannot_be_used_is_named_by_its_variable() -> None:
    with pytest.raises(ConfigError, match="ALL_PROXY names a proxy that cannot be used") as caught:
        choose_proxies(None, {"ALL_PROXY": f"socks5://anna:{SECRET}@proxy.example"})
    assert SECRET not in str(caught.value)


def test_without_an_environment_nothing_is_read() -> None:
    assert choose_proxies(None, None).find("https://x.example") is None
