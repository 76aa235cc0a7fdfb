"""Task services, what each is asked, and how its answers are read."""

import json
from dataclasses import replace
from typing import Any

from nbp_async._base.task_handle import Handle
from nbp_async._dialects.base import Answer
from nbp_async._dialects.task_dialect import TaskImages
from nbp_async._vendors.profiles import Profile, find_profile
from nbp_async._vendors.services import services
from tests.unit.dialects.helpers import KEY, body_of, job

RELAY = Profile(
    name="relay",
    base_url="https://relay.example/v1",
    tasks=services()["article"].tasks,
    response_format="url",
)


LINK = "https://img.example/a.png"


BACK = "https://me.example/hook"


def profile(name: str) -> Profile:
    """The profile of a service; one that has no address of its own is at the relay's."""
    service = services()[name]
    return find_profile(name) if service.base_url else replace(RELAY, tasks=service.tasks)


def read(dialect: TaskImages, document: object, before: Handle | None = None) -> Answer:
    decoder = dialect.decoder() if before is None else dialect.poll_decoder(before)
    decoder.feed(json.dumps(document).encode())
    return decoder.close()


def asked(name: str, *references: Any, callback: str = "", **options: Any) -> tuple[str, Any]:
    own = profile(name)
    request = TaskImages(own, callback).encode(
        job(**({"model": own.model} | options)), own, references, KEY
    )
    assert request.method == "POST"
    assert KEY in str(request.headers)
    assert KEY not in repr(request)
    return request.url, body_of(request)
