"""The transports that tests of the whole library run on."""

from importlib.util import find_spec
from typing import Literal

import pytest

Name = Literal["aiohttp", "direct", "httpx"]

NAMES: tuple[Name, ...] = ("aiohttp", "httpx")
if find_spec("httptools") is not None:
    NAMES = (*NAMES, "direct")
TRANSPORTS = pytest.mark.parametrize("transport", NAMES)
PAID_TRANSPORTS = pytest.mark.parametrize("transport", [name for name in NAMES if name != "httpx"])
"""Those that read a refusal before the request has left whole."""
