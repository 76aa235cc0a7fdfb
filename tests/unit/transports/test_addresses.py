"""Links lead to image stores, and never into the network that we stand in."""

import pytest

from nbp_async._transports.private_addresses import refusal_of

REFUSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.254",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:c0a8:101::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456:789a::1",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "4000::1",
    "a000::1",
]
NOT_ADDRESSES = [
    "",
    "localhost",
    "example.com",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "127.0.0.1.",
    " 127.0.0.1",
    "①②⑦.0.0.1",
    "[::1]",
    "8.8.8.8:443",
]
ALLOWED = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.1",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:4860:4860::8888",
    "2606:4700:4700::1111",
    "2003::1",
    "3ffe:ffff::1",
]


@pytest.mark.parametrize("address", REFUSED)
def test_an_inner_or_special_address_is_refused_with_a_reason(address: str) -> None:
    assert refusal_of(address) not in (None, "", "not an IP address")


@pytest.mark.parametrize("address", NOT_ADDRESSES)
def test_what_is_no_address_in_its_usual_spelling_is_refused(address: str) -> None:
    assert refusal_of(address) == "not an IP address"


@pytest.mark.parametrize("address", ALLOWED)
def test_a_public_address_may_be_dialled(address: str) -> None:
    assert refusal_of(address) is None
