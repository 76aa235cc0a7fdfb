"""Links: how long they live, and from when on people are warned."""

import pytest

from nbp_async.display.link_expiry import DAY, LinkExpiry

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("days", "says"),
    [
        ([7.0], ""),
        ([2.01], ""),
        ([1.99], "1 link ends within 2 days: nbp fetch brings them"),
        ([0.1, 1.5, 6], "2 links end within 2 days: nbp fetch brings them"),
        ([-1], "try nbp fetch at once: some stores keep images for longer than they say"),
    ],
)
def test_from_the_fifth_day_of_seven_on_there_is_a_warning(days: list[float], says: str) -> None:
    assert LinkExpiry([NOW + day * DAY for day in days], NOW).warning() == says


def test_how_long_they_live_is_told_from_the_first_to_the_last() -> None:
    ends = [NOW + 3 * DAY, NOW - 5, NOW + 6 * DAY, None]
    assert (
        str(LinkExpiry(ends, NOW)) == "1 should have ended, the links live for 3 d 0 h to 6 d 0 h"
    )
    assert str(LinkExpiry([None], NOW)) == "the vendor did not say how long the links live"
    assert LinkExpiry([None], NOW).warning() == ""
