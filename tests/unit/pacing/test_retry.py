"""The decision, row by row: who pays for an attempt, and what is done after it."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbp_async._base.errors import (
    AuthError,
    BadHeadError,
    CancelledAttemptError,
    CertificateError,
    ConnectError,
    ConnectTimeout,
    ContentBlockedError,
    DisconnectedError,
    DownloadError,
    InvalidRequestError,
    LocalLimitError,
    MalformedReplyError,
    NbpError,
    NoImageError,
    OverloadedError,
    QuotaError,
    RateLimitError,
    ReadTimeout,
    ServerError,
    StorageError,
    TaskFailedError,
    TruncatedError,
    UploadTimeout,
)
from nbp_async._base.http import Billing, Usage
from nbp_async._models.settings import Retry
from nbp_async._pacing.retry import AttemptHistory, Verdict, judge
from nbp_async._vendors.profiles import PROFILES, Profile

RELAY = Profile(name="relay", base_url="https://relay.example/v1")
GOOGLE = PROFILES["google"]
RESEND = Retry(ambiguous="resend", ambiguous_budget_usd="5")
FIRST = AttemptHistory(reached=1)


def verdict(
    error: NbpError,
    retry: Retry | None = None,
    profile: Profile = RELAY,
    history: AttemptHistory = FIRST,
) -> Verdict:
    return judge(error, retry=retry or Retry(), profile=profile, history=history, rng=lambda: 0.5)


@pytest.mark.parametrize(
    ("error", "action", "billing"),
    [
        (ConnectError("x"), "again", "no"),
        (ConnectTimeout("x"), "again", "no"),
        (LocalLimitError("x"), "again", "no"),
        (CertificateError("x"), "finish", "no"),
        (RateLimitError("x", status=429), "throttled", "no"),
        (OverloadedError("x", status=503), "throttled", "no"),
        (QuotaError("x", status=429), "finish", "no"),
        (QuotaError("x", status=500), "finish", "no"),
        (AuthError("x", status=401), "finish", "no"),
        (AuthError("x", status=402), "finish", "no"),
        (InvalidRequestError("x", status=400), "finish", "no"),
        (InvalidRequestError("x", status=413), "finish", "no"),
        (ServerError("x", status=500), "finish", "maybe"),
        (ServerError("x", status=502), "finish", "maybe"),
        (ServerError("x", status=504), "finish", "maybe"),
        (ServerError("x", status=408), "finish", "maybe"),
        (ServerError("x", status=524), "finish", "maybe"),
        (ServerError("x", status=499), "finish", "maybe"),
        (ServerError("x", status=421), "again", "no"),
        (ServerError("x", status=425), "again", "no"),
        (InvalidRequestError("x", status=302), "finish", "maybe"),
        (InvalidRequestError("x", status=303), "finish", "maybe"),
        (InvalidRequestError("x", status=307), "finish", "no"),
        (InvalidRequestError("x", status=409), "finish", "no"),
        (DisconnectedError("x"), "finish", "maybe"),
        (ReadTimeout("x"), "finish", "maybe"),
        (UploadTimeout("x"), "finish", "maybe"),
        (BadHeadError("x"), "finish", "maybe"),
        (CancelledAttemptError("x"), "finish", "maybe"),
        (TruncatedError("x"), "finish", "yes"),
        (NoImageError("x", reason="STOP"), "finish", "maybe"),
        (ContentBlockedError("x", reason="SAFETY", usage=Usage()), "finish", "yes"),
        (DownloadError("x", url="https://x"), "finish", "yes"),
        (StorageError("x"), "finish", "yes"),
    ],
)
def test_where_the_vendor_says_nothing(error: NbpError, action: str, billing: str) -> None:
    found = verdict(error)
    assert (found.action, found.billing) == (action, billing)


def test_where_the_vendor_says_who_pays() -> None:
    assert verdict(ServerError("x", status=500), profile=GOOGLE).action == "again"
    assert verdict(ServerError("x", status=504), profile=GOOGLE).action == "finish"
    blocked = ContentBlockedError("x", reason="SAFETY")
    assert verdict(blocked, profile=GOOGLE).billing == "maybe"
    generous = replace(RELAY, billed={502: "no", 400: "yes"})
    assert verdict(ServerError("x", status=502), profile=generous).action == "again"
    assert verdict(InvalidRequestError("x", status=400), profile=generous).billing == "yes"


@pytest.mark.parametrize("error", [DisconnectedError("x"), ServerError("x", status=502)])
def test_resending_only_where_it_was_allowed(error: NbpError) -> None:
    assert verdict(error).action == "finish"
    assert verdict(error, RESEND).action == "resend"
    assert verdict(error, RESEND).billing == "maybe"
    assert verdict(error, RESEND, history=AttemptHistory(reached=4)).action == "finish"
    assert verdict(CancelledAttemptError("x"), RESEND).action == "finish"


def test_attempts_are_counted_without_those_that_were_put_off() -> None:
    error = ServerError("x", status=500)
    assert verdict(error, profile=GOOGLE, history=AttemptHistory(reached=3)).action == "again"
    assert verdict(error, profile=GOOGLE, history=AttemptHistory(reached=4)).action == "finish"
    assert (
        verdict(error, profile=GOOGLE, history=AttemptHistory(reached=9, throttled=6)).action
        == "again"
    )
    assert verdict(ConnectError("x"), history=AttemptHistory(connects=7)).action == "again"
    assert verdict(ConnectError("x"), history=AttemptHistory(connects=8)).action == "finish"


def test_patience_ends_when_it_was_too_long_or_would_be() -> None:
    error = RateLimitError("x", status=429)
    assert verdict(error, history=AttemptHistory(throttled_for=899)).action == "throttled"
    assert verdict(error, history=AttemptHistory(throttled_for=900)).action == "finish"
    long = RateLimitError("x", status=429, retry_after=901)
    assert verdict(long).action == "finish"


@pytest.mark.parametrize("retry", [Retry(), Retry.article()])
def test_a_wait_beyond_all_patience_ends_it_under_every_policy(retry: Retry) -> None:
    for error in (
        RateLimitError("x", status=429, retry_after=86_400),
        OverloadedError("x", status=503, retry_after=86_400),
        ServerError("x", status=500, retry_after=86_400),
    ):
        assert verdict(error, retry, GOOGLE).action == "finish"


@pytest.mark.parametrize(("retry", "status"), [(Retry(), 500), (RESEND, 504)])
def test_a_failure_that_names_a_wait_is_not_tried_before_it(retry: Retry, status: int) -> None:
    found = verdict(ServerError("x", status=status, retry_after=30), retry, GOOGLE)
    assert found.action != "finish"
    assert found.delay == 30


def test_exactly_the_statuses_that_were_listed_are_tried_again() -> None:
    listed = Retry(statuses=frozenset({409, 502}))
    assert verdict(InvalidRequestError("x", status=409), listed).action == "again"
    assert verdict(ServerError("x", status=502), listed).action == "again"
    assert verdict(ServerError("x", status=500), listed, GOOGLE).action == "finish"
    assert verdict(RateLimitError("x", status=429), listed).action == "finish"
    assert verdict(QuotaError("x", status=429), Retry.article()).action == "finish"


def test_no_retry_means_one_attempt() -> None:
    for error in (
        ConnectError("x"),
        ServerError("x", status=500),
        RateLimitError("x", status=429),
        OverloadedError("x", status=503, retry_after=1),
        DisconnectedError("x"),
    ):
        history = AttemptHistory(reached=1, connects=1)
        assert verdict(error, Retry.none(), GOOGLE, history).action == "finish"


def test_what_a_retry_takes_from_the_budget() -> None:
    assert verdict(ConnectError("x")).tokens == 0  # an outage must not burn a whole catalogue
    assert verdict(ServerError("x", status=500), profile=GOOGLE).tokens == 2
    assert verdict(DisconnectedError("x"), RESEND).tokens == 5
    assert verdict(RateLimitError("x", status=429)).tokens == 0


def test_the_article_s_policy_is_kept_to_the_letter() -> None:
    article = Retry.article()
    for status in (500, 502, 504):
        waits = []
        for reached in (1, 2, 3):
            found = verdict(
                ServerError("x", status=status), article, history=AttemptHistory(reached=reached)
            )
            assert (found.action, found.billing) == ("again", "maybe")
            waits.append(found.delay)
        assert waits == [2.0, 4.0, 8.0]
        last = verdict(ServerError("x", status=status), article, history=AttemptHistory(reached=4))
        assert last.action == "finish"
    for error in (RateLimitError("x", status=429), OverloadedError("x", status=503)):
        assert verdict(error, article).delay == 2.0
        assert (
            verdict(error, article, history=AttemptHistory(reached=4, throttled=4)).action
            == "finish"
        )
    assert verdict(ServerError("x", status=408), article).action == "finish"
    assert verdict(DisconnectedError("x"), article).action == "finish"


def test_backoff_doubles_to_its_cap_and_is_drawn_evenly_below_it() -> None:
    rng = random.Random(5)
    retry = Retry(attempts=100, connect_attempts=100, cap=60)

    def draw(number: int) -> float:
        error = ServerError("x", status=500)
        history = AttemptHistory(reached=number)
        return judge(error, retry=retry, profile=GOOGLE, history=history, rng=rng.random).delay

    for number, ceiling in ((1, 1.0), (2, 2.0), (4, 8.0), (7, 60.0), (90, 60.0)):
        samples = [draw(number) / ceiling for _ in range(10_000)]
        bins = [sum(b / 10 <= s < (b + 1) / 10 for s in samples) for b in range(10)]
        assert all(800 <= count <= 1200 for count in bins), (number, bins)


errors = st.sampled_from(
    [
        ConnectError("x"),
        DisconnectedError("x"),
        ReadTimeout("x"),
        BadHeadError("x"),
        TruncatedError("x"),
        StorageError("x"),
        NoImageError("x", reason="x"),
        DownloadError("x", url="x"),
        CancelledAttemptError("x"),
    ]
) | st.builds(
    lambda kind, status, wait: kind("x", status=status, retry_after=wait),
    st.sampled_from([ServerError, RateLimitError, OverloadedError, InvalidRequestError, AuthError]),
    st.integers(100, 599),
    st.none() | st.floats(0, 10_000),
)


@given(errors, st.integers(0, 12), st.integers(0, 12), st.floats(0, 2000), st.booleans())
def test_what_may_be_billed_is_never_sent_again_unless_the_user_said_so(
    error: NbpError, reached: int, connects: int, waited: float, google: bool
) -> None:
    history = AttemptHistory(reached=reached, connects=connects, throttled_for=waited)
    found = verdict(error, profile=GOOGLE if google else RELAY, history=history)
    if found.billing != "no":
        assert found.action == "finish"
    assert found.action != "resend"
    assert found.delay >= 0


TRANSIENT = TaskFailedError("x", task="t", billing="no", is_transient=True)


def test_a_failed_task_is_tried_again_if_it_is_free_and_may_pass() -> None:
    found = verdict(TRANSIENT)
    assert (found.action, found.billing, found.delay, found.tokens) == ("again", "no", 0.5, 2)
    assert verdict(TRANSIENT, history=AttemptHistory(reached=2)).delay == 1.0
    assert verdict(TRANSIENT, history=AttemptHistory(reached=3)).action == "again"
    assert verdict(TRANSIENT, history=AttemptHistory(reached=4)).action == "finish"
    lasting = TaskFailedError("x", task="t", billing="no", is_transient=False)
    assert (verdict(lasting).action, verdict(lasting).billing) == ("finish", "no")


@pytest.mark.parametrize("billing", ["maybe", "yes"])
@pytest.mark.parametrize("is_transient", [True, False])
def test_a_failed_task_that_may_be_billed_is_never_tried_again(
    billing: Billing, is_transient: bool
) -> None:
    error = TaskFailedError("x", task="t", billing=billing, is_transient=is_transient)
    for retry in (Retry(), RESEND, Retry.article()):
        found = verdict(error, retry)
        assert (found.action, found.billing) == ("finish", billing)


def test_who_pays_for_a_success_without_an_image() -> None:
    """Only where tokens are charged does it matter whether the response counts any."""
    silent = NoImageError("x", reason="STOP")
    counted = NoImageError("x", reason="STOP", usage=Usage(total_tokens=1))
    prices = RELAY.prices_for(RELAY.model)
    assert prices is not None
    by_image = replace(RELAY, prices=replace(prices, image_per_million=None))
    assert verdict(silent).billing == "maybe"
    assert verdict(counted).billing == "yes"
    assert verdict(silent, profile=by_image).billing == "yes"
    kinds: tuple[Billing, ...] = ("no", "maybe")
    for billing in kinds:
        profile = replace(RELAY, billed_without_image=billing)
        assert verdict(silent, profile=profile).billing == billing
        assert verdict(counted, profile=profile).billing == billing


def test_a_connection_is_tried_again_after_half_the_backoff() -> None:
    for connects, delay in ((1, 0.25), (2, 0.5), (3, 1.0)):
        history = AttemptHistory(connects=connects)
        assert verdict(ConnectError("x"), history=history).delay == delay


def test_the_backoff_of_a_resend_is_counted_by_attempts() -> None:
    for reached, delay in ((1, 0.5), (2, 1.0), (3, 2.0)):
        history = AttemptHistory(reached=reached)
        assert verdict(DisconnectedError("x"), RESEND, history=history).delay == delay


def test_only_a_failed_server_is_asked_again_where_resending_is_allowed() -> None:
    """Another refusal is an answer, and what is certainly billed is never sent again."""
    billed = replace(RELAY, billed={400: "maybe", 502: "yes"})
    assert verdict(InvalidRequestError("x", status=400), RESEND, billed).action == "finish"
    found = verdict(ServerError("x", status=502), RESEND, billed)
    assert (found.action, found.billing) == ("finish", "yes")


def test_a_wait_that_is_just_as_long_as_the_patience_is_waited_for() -> None:
    error = RateLimitError("x", status=429, retry_after=900)
    assert verdict(error).action == "throttled"
    assert verdict(error, history=AttemptHistory(throttled_for=0.5)).action == "finish"


def test_patience_that_is_used_up_ends_no_failure_that_names_no_wait() -> None:
    tired = AttemptHistory(reached=1, throttled_for=5000)
    assert verdict(ServerError("x", status=500), profile=GOOGLE, history=tired).action == "again"
    short = ServerError("x", status=500, retry_after=0.5)
    assert verdict(short, profile=GOOGLE, history=tired).action == "finish"


def test_a_throttled_attempt_that_counts_passes_the_gate_again() -> None:
    for error in (RateLimitError("x", status=429), OverloadedError("x", status=503)):
        assert verdict(error, Retry.article()).action == "throttled"


def test_nothing_was_tried_and_nothing_is_waited_for_by_default() -> None:
    assert AttemptHistory() == AttemptHistory(0, 0, 0, 0.0)
    assert Verdict("finish", "no") == Verdict("finish", "no", 0.0, 0)


def test_a_listed_429_is_tried_again_although_it_may_be_billed() -> None:
    error = RateLimitError("x", status=429)
    billed = replace(RELAY, billed={429: "maybe"})
    assert verdict(error, profile=billed).action == "finish"
    listed = Retry(statuses=frozenset({429}))
    found = verdict(error, listed, billed)
    assert (found.action, found.billing) == ("throttled", "maybe")


def test_what_is_no_answer_of_the_api_may_have_been_billed() -> None:
    certain = replace(RELAY, prices=PROFILES["apiyi"].prices_for(RELAY.model))
    error = NoImageError("x", reason="no data")
    assert verdict(error, profile=certain).billing == "yes"
    error.billing = "maybe"
    assert verdict(error, profile=certain).billing == "maybe"
    page = MalformedReplyError("x")
    page.billing = "maybe"
    assert verdict(page, RESEND) == Verdict("finish", "maybe")
