"""What is encoded can be sent: the right place, the whole prompt, the key in one header."""

import base64
import json
from typing import get_args
from urllib.parse import urlsplit

import msgspec
import pytest

from nbp_async._base.errors import ConfigError
from nbp_async._client.parts import DIALECTS
from nbp_async._models.outcomes import Reference
from nbp_async._vendors.profiles import DialectName
from nbp_async._vendors.sizes import Canvas
from tests.contracts.dialects.kit import KEY, LINK, PNG, Subject, make_job, refuses

REFERENCES: dict[str, tuple[Reference, ...]] = {
    "none": (),
    "bytes": (PNG,),
    "link": (LINK,),
    "both": (LINK, PNG),
}


@pytest.fixture(params=list(REFERENCES))
def references(request: pytest.FixtureRequest, subject: Subject) -> tuple[Reference, ...]:
    if request.param != "none" and not subject.takes_references:
        pytest.skip("it takes no references")
    return REFERENCES[request.param]


def test_references_that_have_no_place_are_refused_not_left_out(subject: Subject) -> None:
    """Without them the image would be another one, and paid for."""
    if subject.takes_references:
        pytest.skip("it takes references")
    for references in ((PNG,), (LINK,)):
        assert "takes no references" in str(refuses(subject, make_job(), references))


def test_size_and_ratio_reach_the_body_or_are_refused(subject: Subject) -> None:
    """Left out, the image would be another one, and paid for."""
    bodies = []
    for size, ratio, pixels in (
        ("1K", "1:1", (1024, 1024)),
        ("2K", "1:1", (2048, 2048)),
        ("1K", "16:9", (1376, 768)),
    ):
        job = msgspec.structs.replace(make_job(), canvas=Canvas(size, ratio, pixels))
        try:
            bodies.append(subject.dialect.encode(job, subject.profile, (), KEY).body)
        except ConfigError:
            bodies.append(f"refused {len(bodies)}".encode())
    assert len(set(bodies)) == 3


def test_the_key_is_in_one_header_and_nowhere_else(
    subject: Subject, references: tuple[Reference, ...]
) -> None:
    request = subject.dialect.encode(make_job(), subject.profile, references, KEY)
    assert sum(KEY in value for value in request.headers.values()) == 1
    assert KEY not in request.url
    assert KEY.encode() not in request.body
    assert KEY not in repr(request)


def test_it_is_a_post_to_the_profile_with_a_body_of_the_kind_it_names(
    subject: Subject, references: tuple[Reference, ...]
) -> None:
    request = subject.dialect.encode(make_job(), subject.profile, references, KEY)
    assert request.method == "POST"
    assert request.url.startswith(subject.profile.base_url + "/")
    kind = request.headers["Content-Type"]
    if kind == "application/json":
        assert isinstance(json.loads(request.body), dict)
    else:
        name, _, boundary = kind.partition("; boundary=")
        assert name == "multipart/form-data"
        assert request.body.endswith(f"--{boundary}--\r\n".encode())


def test_the_prompt_and_its_references_arrive_whole(
    subject: Subject, references: tuple[Reference, ...]
) -> None:
    text = 'a "red" bicycle\n\u2028 — 自行车 \\ end'
    request = subject.dialect.encode(make_job(text), subject.profile, references, KEY)
    is_json = request.headers["Content-Type"] == "application/json"
    assert (json.dumps(text, ensure_ascii=False) if is_json else text).encode() in request.body
    for reference in references:
        raw = base64.b64encode(reference.data) if is_json else reference.data
        assert (reference.uri.encode() or raw) in request.body


def test_equal_jobs_are_equal_bytes(subject: Subject, references: tuple[Reference, ...]) -> None:
    one, other = (
        subject.dialect.encode(make_job(), subject.profile, references, KEY) for _ in range(2)
    )
    assert (one.url, one.headers, one.body) == (other.url, other.headers, other.body)


def test_extra_fields_arrive(subject: Subject) -> None:
    job = make_job(extra={"an_option": "of the vendor"})
    request = subject.dialect.encode(job, subject.profile, (), KEY)
    assert b'"an_option":"of the vendor"' in request.body


@pytest.mark.parametrize("bad", [object(), "\udfff"], ids=["object", "surrogate"])
def test_what_json_cannot_say_is_refused_before_anything_is_sent(
    subject: Subject, bad: object, references: tuple[Reference, ...]
) -> None:
    """A text of this kind is no `Prompt` in the first place."""
    refused = refuses(subject, make_job(extra={"quality": bad}), references)
    assert "Nothing was sent" in str(refused)


@pytest.mark.parametrize("model", ["x@evil.example", "../../x", "x?key=1", "x#y", "x\ny"])
def test_a_model_cannot_change_the_address(subject: Subject, model: str) -> None:
    job = msgspec.structs.replace(make_job(), model=model)
    try:
        request = subject.dialect.encode(job, subject.profile, (), KEY)
    except ConfigError as exc:
        assert "Nothing was sent" in str(exc)
        return
    ours, theirs = urlsplit(subject.profile.base_url), urlsplit(request.url)
    assert (theirs.scheme, theirs.netloc) == (ours.scheme, ours.netloc)
    assert "key=1" not in theirs.query
    assert theirs.fragment == ""
    assert "\n" not in request.url


def test_each_name_of_a_dialect_has_a_dialect() -> None:
    assert tuple(DIALECTS) == get_args(DialectName)
