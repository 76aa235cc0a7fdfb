"""The ways of calling in virtual time: exact, and the same again."""

import asyncio

from bench.formats import measure_formats
from bench.modes import HALF_PRICE, MODES, play

BY_NAME = {mode.name: mode for mode in MODES}


async def test_ten_images_come_to_the_articles_times() -> None:
    rows = {name: await asyncio.to_thread(play, mode, 10) for name, mode in BY_NAME.items()}
    assert all(row.images == 10 for row in rows.values())
    assert {row.dollars for row in rows.values() if row.mode not in HALF_PRICE} == {2.4}
    assert 1.2 <= rows["batch API"].dollars < 1.3, "half, and some words"
    assert rows["batch API"].connection_seconds < rows["held, asyncio"].connection_seconds / 5
    one, five = rows["one after another"], rows["5 threads"]
    held, poll = rows["held, asyncio"], rows["poll"]
    assert round(one.total) == 1206, "ten of 120 s, and the last download"
    assert round(five.total) == 246
    assert round(held.total) == 126
    assert 126 < poll.total < 140
    assert held.submitting == 0
    assert poll.submitting < 3
    assert (one.peak_connections, held.peak_connections) == (2, 10)
    assert round(held.connection_seconds) == 1260
    assert poll.connection_seconds < held.connection_seconds / 5
    assert one.turns == 0 < poll.turns
    assert rows["webhook"].total < poll.total, "told of, and not only looked for"
    assert rows["webhook"].connection_seconds < poll.connection_seconds
    retried = await asyncio.to_thread(play, BY_NAME["poll"], 10)
    assert retried == poll, "nothing in it depends on the machine"


async def test_a_link_leaves_the_image_out_of_the_answer() -> None:
    found = await measure_formats(quick=True)
    text, link = found["base64"], found["url"]
    assert text.image_bytes == link.image_bytes
    assert link.answer_bytes < 300
    assert 4 / 3 <= text.answer_bytes / text.image_bytes < 1.34
    slow = min(text.answered, key=float)
    assert text.answered[slow] - link.answered[slow] > text.image_bytes / float(slow)
