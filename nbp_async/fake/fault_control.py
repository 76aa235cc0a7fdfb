"""Scripts faults over HTTP, for tests in any language; no key is needed.

POST   /__faults__    {"faults": ["429:5", "reset"], "match": "bicycle"}; `match` may be left out
GET    /__faults__    what is ordered and has not happened yet
DELETE /__faults__    forget all of it

A fault is a name as in `--fault`, or {"status": 503, "retry_after": 5, "body": {...}, "headers":
{...}, "billed": true}. With "download": true the faults are for the image store.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from nbp_async.fake import faults as f
from nbp_async.fake.api_errors import ApiError
from nbp_async.fake.fault_injection import FaultScript, fault_named, fault_text


class StatusOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault that answers with a status, see `faults.status`."""

    status: int
    retry_after: float | str | None = None
    body: str | dict[str, Any] | None = None
    headers: dict[str, str] = {}
    billed: bool = False

    def fault(self) -> f.Fault:
        return f.status(
            self.status, self.retry_after, self.body, headers=self.headers, billed=self.billed
        )


class FaultOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a POST."""

    faults: list[str | StatusOrder]
    match: str | None = None
    download: bool = False

    def read(self) -> tuple[f.Fault, ...]:
        named = [fault_named(o) if isinstance(o, str) else o.fault() for o in self.faults]
        return tuple(f.download(fault) if self.download else fault for fault in named)


def control_faults(script: FaultScript, method: str, body: bytes) -> Mapping[str, object]:
    """Do what a request to `/__faults__` wants; returns what is ordered then.

    Raises:
        ApiError: It cannot be read, or there is no such fault.
    """
    if method == "POST":
        try:
            order = msgspec.json.decode(body, type=FaultOrder)
            script.add(order.read(), order.match)
        except (msgspec.MsgspecError, ValueError) as exc:
            raise ApiError(400, str(exc)) from None
    elif method == "DELETE":
        script.clear()
    elif method != "GET":
        raise ApiError(405, f"{method} is not allowed here")
    return {
        "unplayed": len(script),
        "faults": [
            {"fault": fault_text(fault), "match": match, "download": fault.download}
            for fault, match in script.ordered()
        ],
    }
