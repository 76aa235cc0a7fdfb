"""When signed links end, by what their own query says."""

from datetime import UTC, datetime

import pytest

from nbp_async._images.signed_links import link_end

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("query", "end"),
    [
        ("X-Amz-Date=20261129T120000Z&X-Amz-Expires=3600&X-Amz-Signature=a", NOON + 3600),
        ("x-amz-expires=604800&b=%2F&x-amz-date=20261129T120000Z", NOON + 604_800),
        ("X-Goog-Date=20261129T120000Z&X-Goog-Expires=900&X-Goog-Signature=a", NOON + 900),
        ("x-oss-date=20261129T120000Z&x-oss-expires=60&x-oss-signature=a", NOON + 60),
        ("X-Tos-Date=20261129T120000Z&X-Tos-Expires=86400", NOON + 86_400),
        (f"AWSAccessKeyId=a&Signature=b%2F&Expires={NOON:.0f}", NOON),
        (f"GoogleAccessId=a%40b.example&Expires={NOON:.0f}&Signature=b", NOON),
        (f"OSSAccessKeyId=a&Expires={NOON:.0f}&Signature=b", NOON),
        (f"Expires={NOON:.0f}&Signature=a&Key-Pair-Id=b", NOON),
        ("sv=2024-11-04&se=2026-11-29T12%3A00%3A00Z&sr=b&sp=r&sig=a", NOON),
        ("se=2026-11-29T12:00Z&sig=a", NOON),
        ("se=2026-11-29&sig=a", NOON - 43_200),
        (f"q-sign-algorithm=sha1&q-sign-time={NOON - 60:.0f};{NOON:.0f}&q-signature=a", NOON),
    ],
)
def test_the_end_of_a_signed_link(query: str, end: float) -> None:
    assert link_end(f"https://b.example/a.png?{query}") == end
    assert link_end(f"https://b.example/a%2Fb.png?{query}#part") == end


@pytest.mark.parametrize(
    "link",
    [
        "https://b.example/a.png",
        "https://b.example/a.png?Expires=never",
        "https://b.example/a.png?Expires=3600",
        "https://b.example/a.png?X-Amz-Expires=3600",
        "https://b.example/a.png?X-Amz-Date=yesterday&X-Amz-Expires=3600",
        "https://b.example/a.png?X-Amz-Date=20261129T120000Z&X-Amz-Expires=-1",
        "https://b.example/a.png?se=2026-11-29",
        "https://b.example/a.png?se=soon&sig=a",
        "https://[b.example/a.png?Expires=1795953600",
        "data:image/png;base64,AAAA",
        "",
    ],
)
def test_what_says_no_end_has_none(link: str) -> None:
    assert link_end(link) is None
