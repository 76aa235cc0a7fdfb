"""A run whose images go to a store: killed, resumed, and asked whether they are still there."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from nbp_async import Batch, Client, Failure, Image, Limits, Profile, StorageError, read_run
from nbp_async._journal.base import MANIFEST
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.object_sink import ObjectSink, waiting_images
from nbp_async._stores.store_address import store_address
from nbp_async.fake import FakeServer
from nbp_async.fake.process import spawn
from tests.loopback.durable.kills import assert_books, finish, kill_at, task_of
from tests.loopback.oracle import assert_settled
from tests.object_server import CREDENTIALS, ObjectServer, object_server, quick_sink

PROMPTS = 8


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with object_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
async def vendor() -> AsyncIterator[FakeServer]:
    async with FakeServer(latency=0.0, delivery="b64_json") as running:
        yield running


@pytest.fixture
def threads() -> Iterator[FileThreads]:
    threads = FileThreads()
    yield threads
    threads.close()


def client(vendor: FakeServer, max_in_flight: int = 50) -> Client:
    profile = Profile(name="vendor", base_url=vendor.openai_url, response_format=None)
    return Client(profile, vendor.key, limits=Limits(max_in_flight=max_in_flight))


def file_of(server: ObjectServer, place: str) -> Path:
    """The file in which the server keeps the object of this address."""
    return server.root / server.bucket / store_address(place).path


@pytest.mark.parametrize(
    "at", ["arm:after", "body", "write", "commit:before", "commit:after", "finish:before"]
)
@pytest.mark.parametrize("links", [False, True])
async def test_killed_at_a_named_point_and_resumed(
    shared: ObjectServer, at: str, links: bool, tmp_path: Path
) -> None:
    place = shared.address(tmp_path.name)

    def size_of(folder: Path, path: str) -> int:
        return file_of(shared, path).stat().st_size

    async with await spawn(latency="20-40", speed=400.0) as server:
        task = task_of(
            server, tmp_path, prompts=PROMPTS, links=links, in_flight=3, store=str(place)
        )
        assert await kill_at({**task, "at": at, "nth": 4}), f"{at} was never passed"
        await assert_books(server, tmp_path, size_of)

        said = await finish(task)
        report = await assert_books(server, tmp_path, size_of)
        assert said["images"] + said["unclear"] == PROMPTS, said
        assert said["unclear"] <= 3, "no more than was in flight"
        assert report.states.get("armed", 0) == 0

        again = await finish({**task, "resend_ambiguous": True, "max_cost": "20"})
        assert again["images"] == PROMPTS, again
        assert again["resumed"] == said["images"]
        await assert_books(server, tmp_path, size_of)
    there = [name for name in shared.objects() if name.startswith(tmp_path.name)]
    assert len(there) == PROMPTS, "one object an image, and nothing besides"


@pytest.mark.parametrize("at", ["arm:after", "commit:after"])
async def test_runs_that_share_a_prefix_do_not_take_each_others_images(
    shared: ObjectServer, at: str, tmp_path: Path
) -> None:
    """One is killed with requests out; another makes images at the same places of its own list."""
    place = str(shared.address(tmp_path.name))
    async with await spawn(latency="20-40", speed=400.0) as server:
        ours, theirs = (
            task_of(server, tmp_path / name, prompts=PROMPTS, in_flight=3, store=place)
            for name in ("ours", "theirs")
        )
        assert await kill_at({**ours, "at": at, "nth": 4})
        assert (await finish(theirs))["images"] == PROMPTS
        said = await finish(ours)
        assert said["images"] + said["unclear"] == PROMPTS, said
        assert said["unclear"] >= (at == "arm:after"), "nobody knows what became of what was out"
    mine, others = (
        {row.path for row in read_run(tmp_path / name).rows()} for name in ("ours", "theirs")
    )
    assert mine & others <= {""}


async def test_an_extra_is_not_taken_for_the_image_that_it_came_with(
    vendor: FakeServer, shared: ObjectServer, tmp_path: Path
) -> None:
    """Its name begins as the image's does, and comes first where names are sorted."""
    place = str(shared.address(tmp_path.name))
    async with await spawn(latency="20-40", speed=400.0) as server:
        task = task_of(server, tmp_path, prompts=1, in_flight=1, store=place)
        assert await kill_at({**task, "at": "finish:before", "nth": 1})
        (stored,) = file_of(shared, place).glob("0*")
        stem, _, rest = stored.name.rpartition("-")
        stored.rename(stored.with_name(f"{stem}-extra1-{rest}"))
        assert (await finish(task))["unclear"] == 1


async def run_of(
    vendor: FakeServer,
    place: str | ObjectSink,
    journal: Path,
    *,
    verify: bool = False,
    again: bool = False,
) -> Batch:
    async with client(vendor) as gen:
        return await gen.many(
            ["a", "b"], size="1K", out=place, journal=journal, verify=verify, retry_failed=again
        )


async def test_the_location_of_an_image_is_shown_everywhere(
    vendor: FakeServer, shared: ObjectServer, tmp_path: Path
) -> None:
    place, journal = str(shared.address(tmp_path.name)), tmp_path / "run.sqlite3"
    async with client(vendor) as gen:
        plan = gen.many(["a", "b"], size="1K", out=place, journal=journal)
        preview = plan.preview()
        assert preview.store == place
        assert preview.disk_free is None
        assert preview.fits
        assert place in "\n".join(preview.lines())
        batch = await plan
        first = batch.images[0]
        assert first.path is None
        assert first.location.startswith(place.partition("?")[0])
        assert first.location in repr(first)
        assert await first.aread() == file_of(shared, first.location).read_bytes()
        assert first.save(tmp_path / "copy.png").read_bytes() == first.read()
        await assert_settled(gen, vendor, batch)
    report = read_run(journal)
    assert [row.path for row in report.rows()] == [image.location for image in batch.images]
    assert [one.read() for one in report.outcomes() if one.ok] == [i.read() for i in batch.images]
    lines = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    assert {line["path"] for line in lines} == {image.location for image in batch.images}
    assert not (tmp_path / MANIFEST).exists()


async def test_what_is_there_is_not_bought_again_and_what_is_gone_is_named(
    vendor: FakeServer, shared: ObjectServer, tmp_path: Path
) -> None:
    place, journal = str(shared.address(tmp_path.name)), tmp_path / "run.sqlite3"
    batch = await run_of(vendor, place, journal)
    again = await run_of(vendor, place, journal, verify=True)
    assert again.billing.saved == batch.billing.spent
    assert vendor.bank.billed == batch.billing.spent

    file_of(shared, batch.images[0].location).unlink()
    file_of(shared, batch.images[1].location).write_bytes(b"short")
    third = await run_of(vendor, place, journal)
    said = [str(failure.error) for failure in third.failures]
    assert "its object is gone" in said[0]
    assert "has 5 bytes" in said[1]
    assert vendor.bank.billed == batch.billing.spent

    last = await run_of(vendor, place, journal, again=True)
    assert len(last.images) == 2
    assert vendor.bank.billed == batch.billing.spent + last.billing.spent


async def test_an_object_that_was_changed_is_found_by_its_hash(
    vendor: FakeServer, shared: ObjectServer, tmp_path: Path
) -> None:
    place, journal = str(shared.address(tmp_path.name)), tmp_path / "run.sqlite3"
    batch = await run_of(vendor, place, journal)
    file = file_of(shared, batch.images[0].location)
    file.write_bytes(bytes(file.stat().st_size))
    assert len((await run_of(vendor, place, journal)).images) == 2
    (failure,) = (await run_of(vendor, place, journal, verify=True)).failures
    assert "the hash differs" in str(failure.error)


async def test_a_store_that_does_not_answer_is_not_taken_for_empty(
    vendor: FakeServer, threads: FileThreads, tmp_path: Path
) -> None:
    """Its images are not bought again, whatever the call allows."""
    with object_server(tmp_path / "a") as there, object_server(tmp_path / "b") as other:
        first = str(there.address())
        batch = await run_of(vendor, first, tmp_path / "run.sqlite3")
        there.stop()
        place = quick_sink(other.address(), threads)
        after = await run_of(vendor, place, tmp_path / "run.sqlite3", again=True)
    assert [type(outcome.error) for outcome in after.failures] == [StorageError] * 2
    assert vendor.bank.billed == batch.billing.spent


async def test_a_store_that_goes_away_stops_the_run_and_hands_out_what_was_paid(
    vendor: FakeServer, threads: FileThreads, tmp_path: Path
) -> None:
    outcomes: list[Image | Failure] = []
    with object_server(tmp_path) as there:
        # Two slots: while the first outcome is looked at, at most four more prompts are drawn.
        async with client(vendor, max_in_flight=2) as gen:
            stream = gen.stream(
                (str(n) for n in range(30)),
                out=quick_sink(there.address(), threads),
                journal=tmp_path / "j.sqlite3",
            )
            async with stream:
                async for outcome in stream:
                    if not outcomes:
                        there.stop()
                    outcomes.append(outcome)
            there.start()
            await assert_settled(gen, vendor, outcomes)
    images = [outcome for outcome in outcomes if isinstance(outcome, Image)]
    assert any(not image.location for image in images), "handed out in memory"
    assert vendor.bank.images < 30 or len(images) == 30
    report = read_run(tmp_path / "j.sqlite3")
    assert report.totals.spent == vendor.bank.billed


async def test_what_a_store_did_not_take_waits_and_is_uploaded_by_the_next_call(
    vendor: FakeServer, threads: FileThreads, tmp_path: Path
) -> None:
    """It is known to the journal, and neither bought again nor lost with the process."""
    journal, prompts = tmp_path / "j.sqlite3", [str(n) for n in range(6)]
    beside = waiting_images(journal)
    with object_server(tmp_path) as there:

        async def call(*, fails: bool) -> Batch:
            outcomes: list[Image | Failure] = []
            place = quick_sink(there.address(), threads, beside=beside)
            async with client(vendor, max_in_flight=1) as gen:
                stream = gen.stream(prompts, size="1K", out=place, journal=journal)
                async with stream:
                    async for outcome in stream:
                        if fails and not outcomes:
                            there.stop()
                        outcomes.append(outcome)
            return Batch(outcomes)

        first = await call(fails=True)
        waiting = {image.path.parent for image in first.images if image.path is not None}
        assert waiting == {beside}
        there.start()
        made = await call(fails=False)
        assert all(image.location.startswith("s3://") for image in made.images)
        assert {i.sha256 for i in made.images} > {i.sha256 for i in first.images}
        assert not list(beside.iterdir())
        assert all(image.read() for image in made.images)
    assert len(made.images) == 6 == vendor.bank.images
    assert read_run(journal).totals.spent == vendor.bank.billed


async def test_wrong_credentials_buy_nothing(
    vendor: FakeServer, shared: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hushhush")
    with pytest.raises(StorageError, match="SignatureDoesNotMatch") as caught:
        await run_of(vendor, str(shared.address(tmp_path.name)), tmp_path / "run.sqlite3")
    assert "hushhush" not in str(caught.value)
    assert vendor.bank.billed == 0
