"""What `max_cost` leaves to a run, as its plan says it."""

from pathlib import Path

from nbp_async.fake import faults
from tests.loopback.durable.test_resume import PRICE, call, client, vendor


async def test_a_plan_says_for_how_many_images_the_cap_is_enough(tmp_path: Path) -> None:
    async with vendor() as server:
        server.script(faults.reset())
        await call(server, ["a", "b", "c"], tmp_path)  # two were paid for, and one perhaps
        async with client(server) as gen:
            short = gen.many([*"abcdefg"], size="1K", out=tmp_path, max_cost=5 * PRICE)
            held = short.preview()
            assert (held.to_send, held.covered) == (4, 1)
            assert held.room is not None
            assert PRICE < held.room < 2 * PRICE
            assert "enough for about 1 of them" in repr(short)
            short.close()
            enough = gen.many([*"abcdefg"], size="1K", out=tmp_path, max_cost=9)
            assert "max_cost" not in repr(enough)
            enough.close()
            none = gen.many([*"abcdefg"], size="1K", out=tmp_path, max_cost=3 * PRICE)
            assert "enough for none of them" in repr(none)
            none.close()
