"""Files of prompts on the command line: what is said of them, and what comes back by row."""

import json

from tests.loopback.cli.vendor import Shell, Vendor, objects

TABLE = "sku;prompt;Size\n1;a red bicycle;1K\n2;;4K\n3;a lamp;1K\n"
SAID = "shop.csv: 3 rows, ';', UTF-8; uses prompt, Size; ignores sku; 1 row without text skipped"


async def test_many_says_once_what_the_file_is_and_gives_rows_back(
    shell: Shell, vendor: Vendor
) -> None:
    (shell.folder / "shop.csv").write_text(TABLE)
    nbp = await shell.nbp("many", "shop.csv", "--out", "shop", "--json")
    code, out, err = await nbp.end()
    assert code == 0
    assert err.count(SAID) == 1
    rows = {row["prompt"]: (row["row"], row["width"]) for row in objects(out)}
    assert rows == {"a red bicycle": (0, 1024), "a lamp": (2, 1024)}
    assert len(vendor.asked) == 2
    nbp = await shell.nbp("export", "shop", "--to", "json")
    kept = json.loads("\n".join((await nbp.end())[1]))
    assert {row["prompt"]: row["row"] for row in kept} == {"a red bicycle": 0, "a lamp": 2}


async def test_a_dry_run_begins_with_the_file_and_is_json_if_it_is_to_be(
    shell: Shell, vendor: Vendor
) -> None:
    (shell.folder / "shop.csv").write_text(TABLE)
    for command in (("many",), ("batch", "submit", "--endpoint", "google")):
        dry = (*command, "shop.csv", "--out", "shop", "--dry-run")
        code, out, _ = await (await shell.nbp(*dry)).end()
        assert code == 0
        assert out[0] == SAID
        assert out[1].startswith("2 images: 2 to make, about $0.")
        code, out, _ = await (await shell.nbp(*dry, "--json")).end()
        said = json.loads("\n".join(out))
        assert code == 0
        assert said["file"]["uses"] == {"prompt": "text", "Size": "size"}
        assert said["file"]["skipped"] == 1
        assert (said["images"], said["to_send"], said["disk_suffices"]) == (2, 2, True)
        assert said["cost_usd"] in (0.268, 0.134)
    assert vendor.asked == []


async def test_stdin_has_a_format_too(shell: Shell, vendor: Vendor) -> None:
    nbp = await shell.nbp("many", "-", "--format", "csv", "--out", "shop", text=TABLE)
    code, _, err = await nbp.end()
    assert code == 0
    assert SAID.replace("shop.csv", "stdin") in err
    assert {body["prompt"] for body in vendor.asked} == {"a red bicycle", "a lamp"}


async def test_what_is_not_understood_is_refused_before_anything_is_sent(
    shell: Shell, vendor: Vendor
) -> None:
    for text, says in {
        TABLE: "stdin, line 1: this is the header of a table, and a text has a prompt a line. "
        "Nothing was sent. Pass --format csv.",
        '{"text": "a"}\n': "Pass --format json.",
    }.items():
        code, out, err = await (await shell.nbp("many", "-", "--out", "shop", text=text)).end()
        assert (code, out) == (2, [])
        assert says in " ".join(err.split())
    (shell.folder / "shop.csv").write_text(TABLE.replace("a lamp;1K", "a lamp;9K"))
    code, out, err = await (await shell.nbp("many", "shop.csv", "--out", "shop")).end()
    assert (code, out) == (2, [])
    assert "Error: shop.csv, line 4 (Size): size='9K': nano-banana-pro draws" in err
    assert err.endswith("If the column means something else, pass --ignore-column Size.\n")
    words = ("many", "shop.csv", "--out", "shop", "--dry-run", "--ignore-column", "Size")
    code, out, _ = await (await shell.nbp(*words)).end()
    assert (code, out[0].split("; ")[1:3]) == (0, ["uses prompt", "ignores sku, Size"])
    code, _, err = await (await shell.nbp("gen", "shop.csv")).end()
    assert code == 2
    assert "shop.csv is a file: nbp many shop.csv --out DIR" in err
    assert vendor.asked == []
