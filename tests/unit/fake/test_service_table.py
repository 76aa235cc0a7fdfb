"""The table of task services: addresses, and that no document names a value that is not there."""

import re

import pytest

from nbp_async.fake.image_spec import ImageSpec
from nbp_async.fake.payloads import Payload
from nbp_async.fake.tasks import base_of, services_of
from nbp_async.fake.tasks.service_table import RoutePattern, service_tables
from nbp_async.fake.tasks.submission import Submission
from nbp_async.fake.tasks.task_view import TaskView

NAMES = list(service_tables())


@pytest.mark.parametrize(
    ("pattern", "request_line", "params"),
    [
        ("GET /v1/tasks/{id}", "GET /v1/tasks/t-7", {"id": "t-7"}),
        ("GET /v1/tasks/{id}", "POST /v1/tasks/t-7", None),
        ("GET /v1/tasks/{id}", "GET /v1/tasks/t-7/cancel", None),
        ("GET /v1/tasks/{id}", "GET /v1/tasks/", None),
        ("POST /x?async=true", "POST /x?async=True", {}),
        ("POST /x?async=true", "POST /x", None),
        ("GET /x?taskId={id}", "GET /x?taskId=7", {"id": "7"}),
        ("GET /x?taskId={id}", "GET /x", {"id": ""}),
        ("GET /{a}/{b}(/edit)/s", "GET /o/m.1/edit/s", {"a": "o", "b": "m.1"}),
        ("GET /{a}/{b}(/edit)/s", "GET /o/m.1/s", {"a": "o", "b": "m.1"}),
        ("GET /{a}/{b}", "GET /.well-known/jwks.json", None),
    ],
)
def test_an_address_is_matched_as_a_whole(
    pattern: str, request_line: str, params: dict[str, str] | None
) -> None:
    method, _, address = request_line.partition(" ")
    path, _, query = address.partition("?")
    fields = dict(item.split("=") for item in filter(None, [query]))
    route = RoutePattern("poll", pattern).match(method, path, fields)
    assert (None if route is None else route.params) == params


@pytest.mark.parametrize("name", NAMES)
def test_addresses_of_tasks_are_below_the_base(name: str) -> None:
    routes = service_tables()[name].routes
    for verb in routes.keys() & {"submit", "edit", "poll", "result"}:
        addresses = routes[verb]
        first = addresses if isinstance(addresses, str) else addresses[0]
        assert first.partition(" ")[2].startswith(base_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_documents_name_only_values_that_exist(name: str) -> None:
    """A value that a table misspells would be null in every answer, and nobody would see it."""
    table = service_tables()[name]
    text = repr([table.submitted, table.polled, table.result, table.cancelled, table.event])
    named = set(re.findall(r"\{(\w+)[\w.]*\}", text + repr(table.parts)))
    named |= set(re.findall(r"'(?:if|unless) (\w+)", text + repr(table.parts)))
    spec = ImageSpec("openai", "nano-banana-pro", "a cat", "1K", (1024, 1024))
    done = TaskView(
        id="t-7",
        submission=Submission(spec, {}),
        state="completed",
        name=None,
        progress=100,
        code="",
        message="",
        made=0.0,
        ended=1.0,
        root="http://127.0.0.1",
        answer=Payload([b"{}"]),
    )
    known = {*done.values("done"), *table.parts, "item", "stopped", "logs", "tokens"}
    assert named <= known


def test_services_have_names_and_addresses_of_their_own() -> None:
    services = services_of(interactions=True)
    assert [service.name for service in services] == NAMES
    assert "google-interactions" not in {service.name for service in services_of()}
    with pytest.raises(ValueError, match="no task service is called 'midjourney'; there are art"):
        base_of("midjourney")
