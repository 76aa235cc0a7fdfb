"""What OpenTelemetry is told of a client's work, read as an exporter would."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from nbp_async import Client, Profile, Retry
from nbp_async.fake import FakeServer, faults
from nbp_async.telemetry import OpenTelemetry
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY, profile
from tests.transports import NAMES

pytestmark = pytest.mark.looptime
PROMPT = "a red bicycle that nobody may hear of"
FACTS = {
    "gen_ai.operation.name": "generate_content",
    "gen_ai.provider.name": "vendor",
    "gen_ai.output.type": "image",
    "server.address": "127.0.0.1",
    "nbp.via": "held",
    "nbp.image.size": "4K",
    "nbp.prompt.index": 0,
    "nbp.attempt.number": 1,
    "nbp.billing": "yes",
    "http.response.status_code": 200,
}


def linked(server: FakeServer) -> Profile:
    return replace(profile(server, "openai_images"), response_format="url")


class Seen:
    """Where spans and figures go."""

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.meters = MeterProvider([self.reader])

    def listener(self, **more: Any) -> OpenTelemetry:
        return OpenTelemetry(tracer_provider=self.tracers, meter_provider=self.meters, **more)

    def traced(self) -> list[ReadableSpan]:
        return list(self.spans.get_finished_spans())

    def figures(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        assert data is not None
        return {
            metric.name: list(metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def seen() -> Iterator[Seen]:
    told = Seen()
    yield told
    told.meters.shutdown()
    told.tracers.shutdown()


@pytest.mark.parametrize("dialect", ["openai_images", "gemini"])
async def test_an_attempt_is_a_client_span_in_the_words_of_the_conventions(
    seen: Seen, dialect: Any
) -> None:
    async with (
        FakeServer(keys=[KEY], latency=90.0) as server,
        Client(profile(server, dialect), KEY, listeners=[seen.listener()]) as gen,
    ):
        with seen.tracers.get_tracer("shop").start_as_current_span("catalogue") as shop:
            batch = await gen.many([PROMPT], size="4K")
        await assert_settled(gen, server, batch)
    span, outer = seen.traced()
    assert (outer.name, span.name) == ("catalogue", f"generate_content {gen.model}")
    assert span.kind is SpanKind.CLIENT
    assert span.parent is not None
    assert span.parent.span_id == shop.get_span_context().span_id
    facts = dict(span.attributes or {})
    assert facts.items() >= FACTS.items()
    assert facts["gen_ai.request.model"] == gen.model
    assert str(facts["server.port"]) == server.base_url.rpartition(":")[2]
    assert facts["nbp.cost_usd"] == pytest.approx(float(server.bank.billed))
    (image,) = batch.images
    usage = image.usage
    assert facts.get("gen_ai.usage.input_tokens") == (usage and usage.input_tokens)
    assert (usage is not None) == (dialect == "gemini"), "Google counts tokens"
    assert span.start_time is not None
    assert span.end_time is not None
    assert 90 <= (span.end_time - span.start_time) / 1e9 < 91
    assert [event.name for event in span.events] == ["nbp.sent", "nbp.first_byte"]
    assert PROMPT not in span.to_json() + outer.to_json()
    assert KEY not in span.to_json()


async def test_what_goes_wrong_has_its_kind_and_each_try_its_span(seen: Seen) -> None:
    listener = seen.listener()
    async with (
        FakeServer(keys=[KEY], latency=60.0) as server,
        Client(profile(server, "gemini"), KEY, listeners=[listener], rng=lambda: 0.5) as gen,
    ):
        server.script(faults.rate_limited(20), faults.reset())
        batch = await gen.many([PROMPT, "another"], size="1K")
        await assert_settled(gen, server, batch)
        figures = seen.figures()
    spans = seen.traced()
    kinds = sorted(str((span.attributes or {}).get("error.type", "")) for span in spans)
    assert kinds == ["", "DisconnectedError", "RateLimitError"]
    (bad,) = (s for s in spans if (s.attributes or {}).get("nbp.billing") == "maybe")
    assert bad.status.status_code is StatusCode.ERROR
    assert bad.status.description is None, "a vendor's words may hold the prompt"
    costs = {p.attributes["nbp.billing"]: p.value for p in figures["nbp.client.cost"]}
    assert costs["yes"] == pytest.approx(float(batch.billing.spent))
    assert costs["maybe"] == pytest.approx(float(batch.billing.maybe))
    outcomes = {p.attributes.get("error.type", ""): p.value for p in figures["nbp.client.outcomes"]}
    assert outcomes[""] == 1
    assert sum(outcomes.values()) == 2
    assert sum(p.value for p in figures["nbp.client.pauses"]) == 1


async def test_the_buckets_reach_what_an_image_takes(seen: Seen) -> None:
    async with (
        FakeServer(keys=[KEY], latency=(30.0, 170.0)) as server,
        Client(profile(server, "openai_images"), KEY, listeners=[seen.listener()]) as gen,
    ):
        batch = await gen.many([f"prompt {n}" for n in range(20)], size="1K")
        await assert_settled(gen, server, batch)
    (point,) = seen.figures()["gen_ai.client.operation.duration"]
    assert point.count == 20
    assert point.explicit_bounds[-1] == 600
    assert point.bucket_counts[-1] == 0
    assert sum(count > 0 for count in point.bucket_counts) >= 4, "they tell images apart"


async def test_prompts_are_in_spans_only_where_that_is_wanted(seen: Seen) -> None:
    async with (
        FakeServer(keys=[KEY], latency=1.0) as server,
        Client(
            profile(server, "gemini"),
            KEY,
            retry=Retry.none(),
            listeners=[seen.listener(capture_content=True)],
        ) as gen,
    ):
        server.script(faults.status(400))
        batch = await gen.many([PROMPT, PROMPT], size="1K")
        await assert_settled(gen, server, batch)
    for span in seen.traced():
        assert PROMPT in str((span.attributes or {})["gen_ai.input.messages"])
    assert any(span.status.description for span in seen.traced())


async def test_without_an_sdk_nothing_happens() -> None:
    async with (
        FakeServer(keys=[KEY], latency=1.0) as server,
        Client(profile(server, "gemini"), KEY, listeners=[OpenTelemetry()]) as gen,
    ):
        batch = await gen.many([PROMPT], size="1K")
        assert len(batch.images) == 1
        await assert_settled(gen, server, batch)


async def test_no_log_of_any_library_has_the_key_or_a_signed_links_query(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Everything that is logged at DEBUG, with tracebacks, while all kinds of things go wrong."""
    caplog.set_level(logging.DEBUG)
    links: list[str] = []
    for transport in NAMES:
        async with (
            FakeServer(keys=[KEY], latency=1.0, delivery="url") as server,
            Client(
                linked(server),
                KEY,
                transport=transport,
                rng=lambda: 0.5,
            ) as gen,
        ):
            server.script(
                faults.status(401),
                faults.rate_limited(1),
                faults.reset(),
                faults.cut_body(),
                faults.download(faults.status(500)),
                faults.html_page(),
            )
            batch = await gen.many([f"prompt {n}" for n in range(8)], size="1K")
            await assert_settled(gen, server, batch)
            links += [image.url for image in batch.images if image.url]
    assert links
    whole = caplog.text + "".join(repr(record.args) for record in caplog.records)
    assert KEY not in whole
    assert KEY not in repr(batch.failures)
    for link in links:
        query = link.partition("?")[2]
        assert not query or query not in whole
