"""Ctrl-C, once and twice, while images are being paid for."""

from tests.loopback.cli.vendor import Nbp, Shell, Vendor, objects

SIX = "".join(f"prompt {number}\n" for number in range(6))
WORDS = ("many", "-", "--out", "shop", "--max-in-flight", "3", "--json")


async def start(shell: Shell, vendor: Vendor) -> Nbp:
    """Six prompts, three in flight, and none of them answered yet."""
    vendor.release.clear()
    nbp = await shell.nbp(*WORDS, text=SIX)
    await vendor.arrived(3)
    return nbp


async def test_ctrl_c_sends_nothing_more_and_keeps_what_is_paid(
    shell: Shell, vendor: Vendor
) -> None:
    nbp = await start(shell, vendor)
    nbp.press_ctrl_c()
    said = await nbp.says("finishing")
    assert said.strip() == "finishing 3 paid images (at most 5 m 0 s) - Ctrl-C again to drop them"
    vendor.release.set()
    code, out, err = await nbp.end()
    assert code == 5  # nothing is unclear: the same command goes on
    assert len(vendor.asked) == 3
    assert [row["ok"] for row in objects(out)] == [True] * 3
    assert len(list((shell.folder / "shop").glob("0*"))) == 3
    assert "3 images · 3 not sent · $0.402 spent" in err


async def test_sigterm_does_the_same(shell: Shell, vendor: Vendor) -> None:
    nbp = await start(shell, vendor)
    nbp.terminate()
    await nbp.says("finishing 3 paid images")
    vendor.release.set()
    code, out, _ = await nbp.end()
    assert (code, len(out), len(vendor.asked)) == (5, 3, 3)


async def test_ctrl_c_twice_drops_what_is_in_flight_and_says_what_it_may_cost(
    shell: Shell, vendor: Vendor
) -> None:
    nbp = await start(shell, vendor)
    nbp.press_ctrl_c()
    await nbp.says("finishing")
    nbp.press_ctrl_c()
    code, out, err = await nbp.end()
    assert code == 3
    assert [row["billing"] for row in objects(out)] == ["maybe"] * 3
    assert "3 images dropped in flight" in err
    assert "May have been billed in addition: $0.440." in err
    assert not list((shell.folder / "shop").glob("0*"))
    assert "Traceback" not in err
