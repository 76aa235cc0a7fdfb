"""A listener that tells OpenTelemetry, in the words of its conventions for generative AI.

opentelemetry.io/docs/specs/semconv/gen-ai, read on 2026-11-23: they are still in development. What
they have no word for is named `nbp.…`.
"""

import asyncio
import time
from typing import Any
from urllib.parse import urlsplit

import msgspec

from nbp_async._models.events import AttemptEnded, GateClosed, GateOpened, LimitChanged, Listener
from nbp_async._models.outcomes import Outcome

try:
    from opentelemetry import metrics, trace
except ImportError as exc:
    raise ImportError(
        'OpenTelemetry is not installed: pip install "nbp-async[otel]", and an SDK of your choice.'
    ) from exc

OPERATION = "generate_content"
# The conventions' own buckets end at 82 s, in the middle of what an image takes.
SECONDS = (1, 2.5, 5, 10, 20, 30, 45, 60, 75, 90, 105, 120, 150, 180, 240, 300, 420, 600)
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
_PROVIDERS = {"google": "gcp.gemini", "openai": "openai"}
_NAME = "nbp_async"
Attributes = dict[str, str | int | float | bool]


class OpenTelemetry(Listener):
    """A client span for each attempt, and figures of all of them.

    A span is made when its attempt has ended, with the times at which it began and ended, as a
    child of the span in which the call was made. It never holds the key. Metrics:

    | name | unit | what |
    |---|---|---|
    | `gen_ai.client.operation.duration` | s | of an attempt, from connecting to the last byte |
    | `gen_ai.client.token.usage` | {token} | input and output, where the vendor tells |
    | `nbp.client.cost` | USD | certain and perhaps, by `nbp.billing` |
    | `nbp.client.outcomes` | {outcome} | images, and failures by `error.type` |
    | `nbp.client.pauses` | {pause} | how often a vendor made everybody wait |

    Args:
        tracer_provider: Instead of the program's own.
        meter_provider: Instead of the program's own.
        capture_content: Put prompts, and the vendor's words on what went wrong, into the spans.
            They may be personal; default False.

    Raises:
        ImportError: When this is imported: OpenTelemetry is not installed (extra [otel]).
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        capture_content: bool = False,
    ) -> None:
        self._capture = capture_content
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
        meter = metrics.get_meter(_NAME, meter_provider=meter_provider)
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "GenAI operation duration.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=TOKENS,
        )
        self._cost = meter.create_counter("nbp.client.cost", "USD", "What attempts cost.")
        self._outcomes = meter.create_counter("nbp.client.outcomes", "{outcome}", "Prompts ended.")
        self._limit = meter.create_gauge(
            "nbp.client.limit", "{request}", "Requests that may be in flight, as learned."
        )
        self._pauses = meter.create_counter("nbp.client.pauses", "{pause}", "Pauses for everybody.")

    def on_attempt(self, event: AttemptEnded) -> None:
        """An attempt ended: its span, and its figures."""
        facts = _facts(event)
        begin, end = _span_of(event)
        self._duration.record(end - begin, facts)
        if event.usage is not None:
            output = event.usage.image_tokens + event.usage.text_tokens
            self._tokens.record(event.usage.input_tokens, {**facts, "gen_ai.token.type": "input"})
            self._tokens.record(output, {**facts, "gen_ai.token.type": "output"})
        attempt = event.attempt
        if attempt.billing != "no":
            self._cost.add(float(attempt.cost), {**facts, "nbp.billing": attempt.billing})
        self._trace(event, facts, begin, end)

    def on_outcome(self, outcome: Outcome) -> None:
        """A prompt ended: one more image, or one more failure of its kind."""
        self._outcomes.add(1, {} if outcome.ok else {"error.type": type(outcome.error).__name__})

    def on_gate(self, event: GateClosed | GateOpened) -> None:
        """A pause began."""
        if isinstance(event, GateClosed):
            self._pauses.add(1, {"error.type": event.reason, **_account(event.account)})

    def on_limit(self, event: LimitChanged) -> None:
        """A learned limit changed."""
        facts = {"gen_ai.request.model": event.model, **_account(event.account)}
        self._limit.set(event.limit, facts)

    def _trace(self, event: AttemptEnded, facts: Attributes, begin: float, end: float) -> None:
        span = self._tracer.start_span(
            f"{OPERATION} {event.job.model}",
            kind=trace.SpanKind.CLIENT,
            start_time=_wall(begin),
            attributes={**facts, **_more(event)},
        )
        if not span.is_recording():
            return
        timings, error = event.attempt.timings, event.attempt.error
        for name, at in (("nbp.sent", timings.sent), ("nbp.first_byte", timings.first_byte)):
            if at is not None:
                span.add_event(name, timestamp=_wall(at))
        if self._capture:
            span.set_attribute("gen_ai.input.messages", _message(event.job.prompt.text))
        if error:
            words = error if self._capture else None
            span.set_status(trace.StatusCode.ERROR, words)
        span.end(_wall(end))


def _facts(event: AttemptEnded) -> Attributes:
    """What spans and figures have in common; few values each, for they divide the figures."""
    url = urlsplit(event.base_url)
    facts: Attributes = {
        "gen_ai.operation.name": OPERATION,
        "gen_ai.provider.name": _PROVIDERS.get(event.vendor, event.vendor),
        "gen_ai.request.model": event.job.model,
        "server.address": url.hostname or "",
        "nbp.via": event.via,
        "nbp.image.size": event.job.canvas.tier,
        **_account(event.attempt.account),
    }
    port = url.port or (443 if url.scheme == "https" else 80)
    if port != 443:
        facts["server.port"] = port
    if event.model:
        facts["gen_ai.response.model"] = event.model
    if event.attempt.error:
        facts["error.type"] = event.attempt.error.partition(":")[0]
    return facts


def _account(name: str) -> dict[str, str]:
    """Which of a client's accounts; nothing where there is only one."""
    return {"nbp.account": name} if name else {}


def _more(event: AttemptEnded) -> Attributes:
    """What only a span has."""
    attempt = event.attempt
    more: Attributes = {
        "gen_ai.output.type": "image",
        "nbp.prompt.index": event.job.index,
        "nbp.attempt.number": attempt.number,
        "nbp.billing": attempt.billing,
        "nbp.cost_usd": float(attempt.cost) if attempt.billing != "no" else 0.0,
        "nbp.waited_s": attempt.timings.waited,
    }
    if event.job.seed is not None:
        more["gen_ai.request.seed"] = event.job.seed
    if attempt.status is not None:
        more["http.response.status_code"] = attempt.status
    if attempt.request_id:
        more["gen_ai.response.id"] = attempt.request_id
    if event.usage is not None:
        more["gen_ai.usage.input_tokens"] = event.usage.input_tokens
        more["gen_ai.usage.output_tokens"] = event.usage.image_tokens + event.usage.text_tokens
    return more


def _span_of(event: AttemptEnded) -> tuple[float, float]:
    """When the attempt began to connect, and when it ended, on the loop's clock."""
    timings = event.attempt.timings
    return timings.queued if timings.connecting is None else timings.connecting, timings.done


def _wall(at: float) -> int:
    """A moment of the loop's clock in nanoseconds since 1970."""
    return time.time_ns() - int((asyncio.get_running_loop().time() - at) * 1e9)


def _message(text: str) -> str:
    message: list[dict[str, Any]] = [{"role": "user", "parts": [{"type": "text", "content": text}]}]
    return msgspec.json.encode(message).decode()
