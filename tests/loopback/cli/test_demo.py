"""`nbp demo`, as a newcomer runs it, a little faster and smaller."""

import re
from pathlib import Path

import aiohttp

from tests.loopback.cli.vendor import Shell

QUICK = ("demo", "--count", "12", "--max-in-flight", "6", "--speed", "2000")


def images_of(sheet: Path) -> set[str]:
    return set(re.findall(r'<img src="([^"]+)"', sheet.read_text("utf-8")))


async def test_the_demo_makes_its_images_and_the_two_bills_are_equal(shell: Shell) -> None:
    nbp = await shell.nbp(*QUICK, key="")
    code, out, err = await nbp.end()
    assert code == 0, err
    facts = " ".join(" ".join(out).split())
    assert "images 12 of 12" in facts
    assert "most in flight 6 counted by the client, 6 by the server" in facts
    assert "$1.61 counted by the client, $1.61 by the bank: equal" in facts
    folder = shell.folder / "out/demo"
    assert f"Look at   {Path('out/demo/index.html')}" in err
    assert images_of(folder / "index.html") == {path.name for path in folder.glob("*.png")}
    assert len(images_of(folder / "index.html")) == 12


async def test_the_demo_can_be_run_again_in_the_same_place(shell: Shell) -> None:
    """The seed is fixed: the same prompts give the same files, and none are left over."""
    for _ in range(2):
        nbp = await shell.nbp(*QUICK, key="")
        assert (await nbp.end())[0] == 0
    assert len(list((shell.folder / "out/demo").iterdir())) == 13


async def test_with_faults_failures_are_named_and_the_bills_still_agree(shell: Shell) -> None:
    nbp = await shell.nbp("demo", "--speed", "2000", "--faults", "--out", "faulty", key="")
    code, out, err = await nbp.end()
    assert code == 3
    assert "they differ" not in " ".join(out)
    assert "×" in err
    sheet = (shell.folder / "faulty/index.html").read_text("utf-8")
    assert "may have been billed" in sheet


async def test_ctrl_c_reaches_the_client_and_leaves_the_server_to_answer(shell: Shell) -> None:
    """At full length nothing would end soon: pressed once it waits, pressed twice it drops."""
    nbp = await shell.nbp("demo", "--count", "4", "--speed", "1", key="")
    match = re.search(r"http\S+|\d+\.\d+\.\d+\.\d+:\d+", await nbp.says("Fake server on"))
    assert match is not None
    async with aiohttp.ClientSession() as session:
        in_flight = 0
        while in_flight < 4:
            async with session.get(f"http://{match[0]}/stats") as answer:
                in_flight = (await answer.json())["stats"]["in_flight"]
    nbp.press_ctrl_c()
    await nbp.says("finishing 4 paid images (at most 2 m 50 s)")
    nbp.press_ctrl_c()
    code, _, err = await nbp.end()
    assert code == 130
    assert "4 images dropped in flight" in err
    assert "May have been billed in addition: $0.586." in err
    assert "Traceback" not in err
