"""Where a redirect leads, spelled as the store spelled it."""

import pytest

from nbp_async._base.http import ReplyHead
from nbp_async._images.redirects import redirect_target

LINK = "https://relay.example:8443/files/1/a.png?sig=%2F%40"
SIGNED = (
    "https://b.example/k%2Fey/%7Ea//b.png?X-Amz-Credential=AK%2F1%2Fs3&X-Amz-Date=1&a=%27~&b=%2f"
)


def target(location: str, status: int = 302) -> str | None:
    return redirect_target(LINK, ReplyHead(status, {"location": location}))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_whole_link_stays_as_it_is_spelled(status: int) -> None:
    assert target(SIGNED, status) == SIGNED


@pytest.mark.parametrize(
    ("location", "full"),
    [
        ("/k%2Fey?b=%40&a=1", "https://relay.example:8443/k%2Fey?b=%40&a=1"),
        ("//b.example/k%2Fey?b=%40", "https://b.example/k%2Fey?b=%40"),
        ("b.png?x=%2f", "https://relay.example:8443/files/1/b.png?x=%2f"),
        ("?x=%2f", "https://relay.example:8443/files/1/a.png?x=%2f"),
        ("/go?to=https://c.example/", "https://relay.example:8443/go?to=https://c.example/"),
        (" https://b.example/a ", "https://b.example/a"),
        ("http://169.254.169.254/", "http://169.254.169.254/"),
        ("https://b.example/\udcc3\udca4%2F", "https://b.example/%C3%A4%2F"),
        ("https://b.example/ä", "https://b.example/%C3%A4"),
    ],
)
def test_a_relative_place_is_completed_and_nothing_else_is_changed(
    location: str, full: str
) -> None:
    assert target(location) == full


@pytest.mark.parametrize("status", [200, 206, 300, 304, 305, 403])
def test_other_answers_lead_nowhere(status: int) -> None:
    assert target(SIGNED, status) is None
    assert target("", 302) is None
    assert redirect_target(LINK, ReplyHead(302, {})) is None
