"""However prompts are cut into parts, and whatever befalls them: the account is that of one run."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbp_async import merge_runs
from nbp_async.fake import FakeServer, faults
from nbp_async.testing.virtual_time import run_virtual
from tests.loopback.test_shards import account_of, client

FAULTS: dict[str, Callable[[], faults.Fault]] = {
    "ok": faults.ok,
    "refused": lambda: faults.status(400),
    "blocked": faults.blocked,
    "billed and lost": faults.no_image,
    "unclear": faults.disconnect,
    "never sent": lambda: faults.disconnect(before=True),
    "busy": lambda: faults.overloaded(1.0),
}


@st.composite
def plays(draw: st.DrawFn) -> tuple[list[str], dict[str, str], int]:
    """Prompts, some of them equal; what befalls each text; and into how many parts they are cut."""
    count = draw(st.integers(1, 12))
    texts = [f"prompt {number}" for number in range(draw(st.integers(1, count)))]
    prompts = draw(st.lists(st.sampled_from(texts), min_size=count, max_size=count))
    befalls = {text: draw(st.sampled_from(sorted(FAULTS))) for text in texts}
    return prompts, befalls, draw(st.integers(1, 5))


@settings(max_examples=25)
@given(play=plays())
def test_any_partition_with_any_faults_has_the_account_of_one_run(
    tmp_path_factory: pytest.TempPathFactory, play: tuple[list[str], dict[str, str], int]
) -> None:
    prompts, befalls, count = play
    folder = tmp_path_factory.mktemp("play")

    async def make(out: Path, shards: list[str | None]) -> None:
        async with FakeServer(latency=1.0, delivery="b64_json") as server:
            for text in prompts:
                server.script(FAULTS[befalls[text]](), match=text)
            async with client(server) as gen:
                runs = [out / f"part-{place}" for place in range(len(shards))]
                for run, shard in zip(runs, shards, strict=True):
                    await gen.many(prompts, size="1K", out=run, shard=shard)
                report = merge_runs(out / "all", *runs)
                await server.drain()
                assert report.spent <= server.bank.billed <= report.spent + report.maybe
                with closing(gen.many(prompts, size="1K", out=out / "all")) as plan:
                    again = plan.preview()
                previews.append((again.there, again.unclear, again.lost, again.to_send))

    previews: list[tuple[int, ...]] = []
    run_virtual(make(folder / "parts", [f"{place}/{count}" for place in range(1, count + 1)]))
    run_virtual(make(folder / "one", [None]))
    # How often a busy vendor was asked is a matter of pace.
    merged = account_of(folder / "parts" / "all", attempts=False)
    assert merged == account_of(folder / "one" / "part-0", attempts=False)
    assert previews[0] == previews[1]
