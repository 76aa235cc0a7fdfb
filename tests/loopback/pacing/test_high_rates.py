"""At hundreds of departures a minute, no window of the period sees more than the rate."""

import pytest

from tests.unit.pacing.helpers import PATTERNS, check_worst_window

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize("pattern", PATTERNS)
async def test_the_worst_window_holds_a_high_rate(pattern: str) -> None:
    await check_worst_window("600/min", 1, pattern)
