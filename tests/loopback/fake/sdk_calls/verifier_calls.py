"""How receivers verify webhooks: the arguments are a file with webhooks, and their secret."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import standardwebhooks
import svix

from tests.loopback.fake.sdk_calls.calls import run


def standard_webhooks(given: Any) -> object:
    return outcomes(standardwebhooks.Webhook(given["secret"]).verify, given["webhooks"])


def svix_webhooks(given: Any) -> object:
    return outcomes(svix.Webhook(given["secret"]).verify, given["webhooks"])


def outcomes(verify: Callable[..., object], webhooks: list[Any]) -> list[str]:
    """Of each webhook: "ok", or the error."""
    found = []
    for webhook in webhooks:
        try:
            verify(webhook["body"], webhook["headers"])
            found.append("ok")
        except Exception as exc:  # noqa: BLE001  the test compares it
            found.append(type(exc).__name__)
    return found


if __name__ == "__main__":
    file, secret = sys.argv[1:]
    webhooks = json.loads(Path(file).read_text())
    run({"webhooks": webhooks, "secret": secret}, standard_webhooks, svix_webhooks)
