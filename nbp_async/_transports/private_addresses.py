"""Addresses that a download must not dial.

The link of an image comes from outside, and its author could make us fetch from this machine, its
network or its cloud's metadata service. We check the address that is really dialled and not the
name, because a name may resolve differently the second time. Python's own `is_global` accepts
multicast, and addresses that contain another one (NAT64, 6to4).
"""

import ipaddress

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_REFUSED: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "this network itself"),
    ("10.0.0.0/8", "a private address"),
    ("100.64.0.0/10", "an address of a carrier's inner network"),
    ("127.0.0.0/8", "this machine itself"),
    ("169.254.0.0/16", "a link-local address"),
    ("172.16.0.0/12", "a private address"),
    ("192.0.0.0/24", "an address for protocols"),
    ("192.0.2.0/24", "an address for documentation"),
    ("192.31.196.0/24", "an address for name servers' own use"),
    ("192.52.193.0/24", "an address for tunnels"),
    ("192.88.99.0/24", "an address for 6to4 relays"),
    ("192.168.0.0/16", "a private address"),
    ("192.175.48.0/24", "an address for name servers' own use"),
    ("198.18.0.0/15", "an address for benchmarks"),
    ("198.51.100.0/24", "an address for documentation"),
    ("203.0.113.0/24", "an address for documentation"),
    ("224.0.0.0/4", "a multicast address"),
    ("240.0.0.0/4", "a reserved address"),
    ("::/128", "this network itself"),
    ("::1/128", "this machine itself"),
    ("::ffff:0:0/96", "an IPv4 address inside an IPv6 one"),
    ("::/96", "an IPv4 address inside an IPv6 one"),
    ("::ffff:0:0:0/96", "an IPv4 address inside an IPv6 one"),
    ("64:ff9b::/96", "an IPv4 address inside an IPv6 one"),
    ("64:ff9b:1::/48", "an IPv4 address inside an IPv6 one"),
    ("100::/64", "an address that leads nowhere"),
    ("100:0:0:1::/64", "an address that leads nowhere"),
    ("2001::/32", "an IPv4 address inside an IPv6 one"),
    ("2001::/23", "an address for protocols"),
    ("2001:db8::/32", "an address for documentation"),
    ("2002::/16", "an IPv4 address inside an IPv6 one"),
    ("2620:4f:8000::/48", "an address for name servers' own use"),
    ("3fff::/20", "an address for documentation"),
    ("5f00::/16", "an address of a segment-routing network"),
    ("fc00::/7", "a private address"),
    ("fe80::/10", "a link-local address"),
    ("fec0::/10", "a private address"),
    ("ff00::/8", "a multicast address"),
)
_NETWORKS: dict[int, list[tuple[_Network, str]]] = {4: [], 6: []}
for _text, _reason in _REFUSED:
    _network = ipaddress.ip_network(_text)
    _NETWORKS[_network.version].append((_network, _reason))
_UNICAST = ipaddress.ip_network("2000::/3")


def refusal_of(address: str) -> str | None:
    """Say why this IP address must not be dialled for a download, or None if it may.

    An address in an unusual form is refused as well: `127.1` and `0x7f000001` reach this machine on
    some systems.
    """
    try:
        # A zone (`%eth0`) names a local interface; the address before it decides.
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "not an IP address"
    for network, reason in _NETWORKS[ip.version]:
        if ip in network:
            return reason
    if ip.version == 6 and ip not in _UNICAST:
        return "a reserved address"
    return None
