"""`nbp gen` and `nbp many`, as a shell runs them."""

from pathlib import Path

import pytest

from nbp_async.fake import FakeServer
from tests.loopback.cli.vendor import Shell, Vendor, objects

# The article's tasks, of a service that is quick: looks follow what is usual.
SOON = """
base_url = "{url}"
submit = "/images/generations/async"
look = "/tasks/{{id}}"
id = ["task_id"]
images = ["result.data[].b64_json"]
links = ["result.data[].url"]
usual = {{ 1K = 0.1, 2K = 0.1, 4K = 0.1 }}
"""


async def test_gen_writes_the_file_that_was_asked_for(shell: Shell, vendor: Vendor) -> None:
    nbp = await shell.nbp("gen", "a red bicycle", "--size", "1K", "-o", "shop/bike.png")
    code, out, err = await nbp.end()
    assert (code, out) == (0, ["shop/bike.png"])
    assert [path.name for path in (shell.folder / "shop").iterdir()] == ["bike.png"]
    assert "1024x1024 png" in err
    assert "$0.134" in err
    assert vendor.asked[0]["prompt"] == "a red bicycle"


async def test_gen_names_the_file_after_the_prompt_and_replaces_none(shell: Shell) -> None:
    names = []
    for _ in range(2):
        nbp = await shell.nbp("gen", "A red bicycle / ../x")
        names += (await nbp.end())[1]
    assert names == ["a-red-bicycle-x.png", "a-red-bicycle-x-2.png"]
    assert {path.name for path in shell.folder.iterdir()} == set(names)


async def test_gen_takes_all_of_stdin_for_one_prompt(shell: Shell, vendor: Vendor) -> None:
    text = "\ufeffA poster:\n\n  - a red bicycle\n  - « vélo »\n"
    code, out, _ = await (await shell.nbp("gen", "-", "--size", "1K", text=text)).end()
    assert (code, out) == (0, ["a-poster-a-red-bicycle-vélo.png"])
    assert [body["prompt"] for body in vendor.asked] == [text[1:].strip()]
    code, out, err = await (await shell.nbp("gen", "-", text=" \n")).end()
    assert (code, out, err) == (2, [], "Error: stdin holds no prompt. Nothing was sent.\n")


async def test_gen_overwrites_nothing_unless_it_is_told_to(shell: Shell, vendor: Vendor) -> None:
    (shell.folder / "bike.png").write_bytes(b"mine")
    (shell.folder / "bike-2.png").symlink_to("nowhere")
    for more in ((), ("-n", "2")):
        code, _, err = await (await shell.nbp("gen", "a bike", "-o", "bike.png", *more)).end()
        assert code == 2
        assert "exists: name another file, or replace it with --force. Nothing was sent." in err
    assert vendor.asked == []
    assert (shell.folder / "bike.png").read_bytes() == b"mine"
    nbp = await shell.nbp("gen", "a bike", "-o", "bike.png", "--force")
    code, out, _ = await nbp.end()
    assert (code, out) == (0, ["bike.png"])
    assert (shell.folder / "bike.png").read_bytes()[:4] == b"\x89PNG"


async def test_gen_keeps_an_image_whose_name_was_taken_while_it_was_made(
    shell: Shell, vendor: Vendor
) -> None:
    vendor.release.clear()
    nbp = await shell.nbp("gen", "a bike", "-o", "bike.png")
    await vendor.arrived(1)
    (shell.folder / "bike.png").write_bytes(b"mine")
    vendor.release.set()
    code, out, _ = await nbp.end()
    assert (code, out) == (0, ["bike-2.png"])
    assert (shell.folder / "bike.png").read_bytes() == b"mine"


async def test_gen_makes_several_with_numbers_in_their_names(shell: Shell, vendor: Vendor) -> None:
    nbp = await shell.nbp("gen", "a bike", "-n", "3", "--seed", "7", "-o", "bike.png", "--json")
    code, out, _ = await nbp.end()
    rows = objects(out)
    assert code == 0
    assert [row["path"] for row in rows] == ["bike-1.png", "bike-2.png", "bike-3.png"]
    assert sorted(body["seed"] for body in vendor.asked) == [7, 8, 9]


async def test_gen_says_when_a_name_and_its_file_disagree(shell: Shell) -> None:
    nbp = await shell.nbp("gen", "a bike", "-o", "bike.jpg")
    code, out, err = await nbp.end()
    assert (code, out) == (0, ["bike.jpg"])
    assert "bike.jpg is a PNG" in err


async def test_many_makes_an_image_for_each_line_and_prints_its_path(
    shell: Shell, vendor: Vendor
) -> None:
    (shell.folder / "prompts.txt").write_text("# bikes\na red bicycle\n\na blue one\n")
    nbp = await shell.nbp("many", "prompts.txt", "--out", "shop")
    code, out, err = await nbp.end()
    assert code == 0
    assert sorted(body["prompt"] for body in vendor.asked) == ["a blue one", "a red bicycle"]
    assert sorted(out) == sorted(f"shop/{path.name}" for path in (shell.folder / "shop").glob("0*"))
    assert "2 images · $0.268 spent" in err


async def test_many_reads_stdin(shell: Shell) -> None:
    nbp = await shell.nbp("many", "-", "--out", "shop", "-q", text="a\nb\nc\n")
    code, out, err = await nbp.end()
    assert (code, len(out), err) == (0, 3, "")


async def test_many_as_json_says_what_came_of_each_prompt(shell: Shell, vendor: Vendor) -> None:
    vendor.refusals["b"] = 400
    (shell.folder / "p.jsonl").write_text('"a"\n{"text": "b"}\n{"text": "c", "size": "4K"}\n')
    nbp = await shell.nbp("many", "p.jsonl", "--out", "shop", "--json", "--size", "1K")
    code, out, err = await nbp.end()
    first, second, third = objects(out)
    assert code == 3
    assert (first["ok"], first["width"], first["spent_usd"]) == (True, 1024, 0.134)
    assert (second["ok"], second["reason"], second["billing"]) == (
        False,
        "InvalidRequestError",
        "no",
    )
    assert (third["ok"], third["width"], third["spent_usd"]) == (True, 4096, 0.24)
    assert (shell.folder / third["path"]).stat().st_size == third["size_bytes"]
    assert "1 × InvalidRequestError (#2; not billed)" in err


async def test_many_never_goes_beyond_its_dollars(shell: Shell, vendor: Vendor) -> None:
    nbp = await shell.nbp("many", "-", "--out", "shop", "--max-cost", "0.30", text="a\nb\nc\nd\n")
    code, out, err = await nbp.end()
    assert (code, len(out), len(vendor.asked)) == (3, 2, 2)
    assert "2 × BudgetError" in err


async def test_a_refused_key_ends_with_4(shell: Shell) -> None:
    nbp = await shell.nbp("gen", "a bike", key="sk-wrong-0123456789")
    code, out, err = await nbp.end()
    assert (code, out) == (4, [])
    assert "AuthError" in err
    assert "sk-wrong" not in err


@pytest.mark.parametrize("words", [("gen", "a bike"), ("many", "-", "--out", "shop")])
async def test_a_missing_key_ends_with_4_before_anything_is_sent(
    words: tuple[str, ...], shell: Shell, vendor: Vendor
) -> None:
    nbp = await shell.nbp(*words, key="", text="a\n")
    code, out, err = await nbp.end()
    assert (code, out, vendor.asked) == (4, [], [])
    assert "NBP_API_KEY" in err


@pytest.mark.parametrize(
    ("words", "text", "message"),
    [
        (("gen", "a", "--size", "4k"), "", "did you mean '4K'?"),
        (("gen", "a", "--ref", "none.png"), "", "--ref none.png: there is no such file"),
        (("gen", "a", "--endpoint", "gogle"), "", "Known are google, apiyi"),
        (("gen", "  "), "", "text that is not empty"),
        (("gen", "a", "-o", "file/bike.png"), "", "Nothing was sent"),
        (("many", "-", "--out", "s"), "# nothing\n", "stdin has no prompts"),
        (("many", "-", "--out", "s", "--rate", "fast"), "a\n", "60/min"),
        (("many", "-", "--out", "s", "--max-cost", "much"), "a\n", "amount of dollars"),
        (("many", "none.txt", "--out", "s"), "", "does not exist"),
        (("many", "-"), "a\n", "--out"),
        (("many", "latin.txt", "--out", "s"), "", "line 1: this is not valid UTF-8"),
    ],
)
async def test_misuse_ends_with_2_and_sends_nothing(
    words: tuple[str, ...], text: str, message: str, shell: Shell, vendor: Vendor
) -> None:
    (shell.folder / "file").touch()
    (shell.folder / "latin.txt").write_bytes("caf\xe9\n".encode("latin-1") + "café".encode())
    nbp = await shell.nbp(*words, text=text)
    code, out, err = await nbp.end()
    assert (code, out, vendor.asked) == (2, [], [])
    assert message in " ".join(err.split())
    assert "Traceback" not in err


async def test_a_reader_that_leaves_stops_the_run_and_what_is_paid_is_kept(
    shell: Shell, vendor: Vendor
) -> None:
    nbp = await shell.nbp(
        "many", "-", "--out", "shop", "--max-in-flight", "2", text="a prompt\n" * 2000
    )
    assert (await nbp.writes()).startswith("shop/00000")
    nbp.close_stdout()
    code, _, err = await nbp.end()
    assert code == 5  # a run: the same command goes on
    assert "Traceback" not in err
    assert "Broken" not in err
    assert len(list((shell.folder / "shop").glob("0*"))) == len(vendor.asked) < 2000


async def test_many_polls_where_it_is_told_to(tmp_path: Path) -> None:
    async with FakeServer(latency=0.1) as server:
        opened = Shell(tmp_path, server.openai_url)
        (opened.folder / "soon.toml").write_text(SOON.format(url=server.openai_url))
        try:
            nbp = await opened.nbp(
                "many",
                "-",
                "--out",
                "shop",
                "--via",
                "poll",
                "--endpoint",
                "soon.toml",
                key=server.key,
                text="a\nb\n",
                trust=server.openai_url.split("/")[2],
            )
            code, out, _ = await nbp.end()
        finally:
            await opened.aclose()
        assert (code, len(out)) == (0, 2)
        assert server.stats().tasks == 2


async def test_a_way_that_the_endpoint_does_not_have_is_misuse(shell: Shell) -> None:
    nbp = await shell.nbp(
        "many", "-", "--out", "shop", "--endpoint", "google", "--via", "poll", text="a\n"
    )
    code, out, err = await nbp.end()
    assert (code, out) == (2, [])
    assert "google is not known to take tasks" in err
    assert "Nothing was sent." in err
