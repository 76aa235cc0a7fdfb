"""The pytest plugin: the fixture `nbp_server`, a fake server for tests of your own.

Loaded with every test run where the package is installed, so it imports nothing but pytest until
the fixture is used.
"""

from collections.abc import Iterator
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "nbp_server(**options): options of nbp_async.fake.FakeServer for nbp_server"
    )


@pytest.fixture
def nbp_server(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A fake server in a thread of its own; by default it answers at once.

    ```python
    @pytest.mark.nbp_server(latency=0.2, faults="429=0.1")
    async def test_my_shop(nbp_server):
        async with Client(nbp_server.openai_url, nbp_server.key) as gen:
            await gen.one("a red bicycle")
        assert nbp_server.bank.billed_for("a red bicycle") == 1
    ```

    It works with and without an event loop. For virtual time use `FakeServer` in the test's loop.
    """
    from nbp_async.fake.server import FakeServer

    marker = request.node.get_closest_marker("nbp_server")
    options = dict(marker.kwargs) if marker is not None else {}
    with FakeServer.in_thread(**{"latency": 0.0, **options}) as server:
        yield server
