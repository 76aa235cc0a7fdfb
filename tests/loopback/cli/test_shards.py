"""`nbp many --shard` and `nbp merge`, as a shell runs them on machines that share nothing."""

import json

from tests.loopback.cli.vendor import Shell, Vendor, objects

FILE = "sku;prompt;n\n" + "".join(
    f"{number};bike {number};{number % 2 + 1}\n" for number in range(7)
)
IMAGES = 10


async def test_parts_are_made_and_merged_and_found(shell: Shell, vendor: Vendor) -> None:
    (shell.folder / "shop.csv").write_text(FILE)
    rows = []
    for part, images in (("1/3", 4), ("2/3", 3), ("3/3", 3)):
        out = f"part-{part[0]}"
        nbp = await shell.nbp("many", "shop.csv", "--out", out, "--shard", part, "--json")
        code, lines, err = await nbp.end()
        assert code == 0
        assert f"Part {part}: {images} of 10 images" in err
        assert f"{images} images" in err
        rows += objects(lines)
    assert len(vendor.asked) == IMAGES
    assert sorted(row["index"] for row in rows) == list(range(IMAGES))

    merge = ("merge", "all", "part-1", "part-2", "part-3")
    code, lines, err = await (await shell.nbp(*merge, key="")).end()
    assert (code, lines, err) == (
        0,
        ["10 images of 10 items · $1.34 spent", "10 items and 10 files added"],
        "",
    )
    code, lines, _ = await (await shell.nbp(*merge, key="")).end()
    assert (code, lines[1]) == (0, "0 items and 0 files added")

    code, lines, err = await (await shell.nbp("many", "shop.csv", "--out", "all")).end()
    assert (code, len(lines), len(vendor.asked)) == (0, IMAGES, IMAGES)
    code, lines, _ = await (await shell.nbp("export", "all", "--to", "json", key="")).end()
    kept = json.loads("\n".join(lines))
    assert [(row["index"], row["row"]) for row in kept] == sorted(
        (row["index"], row["row"]) for row in rows
    )
    code, lines, _ = await (await shell.nbp("show", "all", key="")).end()
    assert "processes  4 so far" in lines


async def test_a_dry_run_counts_its_own_part(shell: Shell, vendor: Vendor) -> None:
    (shell.folder / "shop.csv").write_text(FILE)
    nbp = await shell.nbp("many", "shop.csv", "--out", "x", "--shard", "2/3", "--dry-run")
    code, lines, _ = await nbp.end()
    assert (code, lines[1][:20]) == (0, "3 images: 3 to make,")
    assert vendor.asked == []


async def test_what_was_bought_twice_is_named_and_is_exit_code_3(shell: Shell) -> None:
    (shell.folder / "a.txt").write_text("a red bicycle\na lamp\n")
    for out in ("first", "second"):
        await (await shell.nbp("many", "a.txt", "--out", out, "--shard", "2/2")).end()
    code, lines, _ = await (await shell.nbp("merge", "all", "first", "second", key="")).end()
    assert code == 3
    assert lines[-1] == "bought twice: 2 'a lamp', $0.268 in first, second"
