"""Whatever a submit holds, a service accepts or refuses it: it never fails itself."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nbp_async.fake import FakeServer
from nbp_async.testing.virtual_time import run_virtual
from tests.loopback.fake.api_client import open_client
from tests.loopback.fake.service_clients import SERVICES, ServiceClient

pytestmark = pytest.mark.slow

ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "a cat", "4K", "1:1", "auto", "data:image/png;base64,x", "nano-banana"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "data", "uri", "content", "uris", "prompt"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


def fields_of(body: dict[str, Any]) -> list[tuple[str, ...]]:
    """The paths of all fields in a body."""
    found: list[tuple[str, ...]] = []
    for name, value in body.items():
        found.append((name,))
        if isinstance(value, dict):
            found += [(name, *rest) for rest in fields_of(value)]
    return found


def changed(body: dict[str, Any], place: tuple[str, ...], value: object) -> dict[str, Any]:
    """The same body with another value at this path."""
    inner = value if len(place) == 1 else changed(body[place[0]], place[1:], value)
    return {**body, place[0]: inner}


async def said_to(name: str, body: object) -> tuple[int, int]:
    """The status of a submit with this body, and how many ledger entries it made."""
    service = SERVICES[name]
    async with FakeServer(latency=1, **service.options) as server, open_client(server) as call:
        client = ServiceClient(call, name)
        path = client.how.submit[0].replace("{url}", "")
        heads = {**client.how.auth(client.key), "Content-Type": "application/json"}
        data = json.dumps(body).encode()
        async with call.session.post(client.base + path, data=data, headers=heads) as answer:
            document = json.loads(await answer.read())
            status = document.get("code", 200) if name == "kie" else answer.status
        await server.drain()
        return int(status), len(server.bank.ledger)


@pytest.mark.parametrize("name", SERVICES)
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_one_odd_field_is_accepted_or_refused(name: str, data: st.DataObject) -> None:
    body = SERVICES[name].submit[1]("a cat", "")
    place = data.draw(st.sampled_from(fields_of(body)))
    body = changed(body, place, data.draw(ODD))
    status, rows = run_virtual(said_to(name, body))
    assert status < 500
    assert rows == (1 if status in (200, 201, 202) else 0)


@pytest.mark.parametrize("name", SERVICES)
@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(body=ODD)
@example(body=[[[]]])
@example(body={"input": {"content": [{"content": "x"}]}, "background": True})
def test_any_document_is_accepted_or_refused(name: str, body: object) -> None:
    status, _ = run_virtual(said_to(name, body))
    assert status < 500


def test_an_input_nested_too_deep_is_refused() -> None:
    deep: object = "a cat"
    for _ in range(300):
        deep = [deep]
    body = {**SERVICES["google-interactions"].submit[1]("a cat", ""), "input": deep}
    assert run_virtual(said_to("google-interactions", body)) == (400, 0)
