"""What a vendor calls work that it goes on with alone: enough to ask for it, from any process."""

from typing import Literal

import msgspec


class Handle(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Paid work at a vendor that nobody holds a connection for.

    Attributes:
        kind: "task" (one image) or "batch" (a line of a batch job).
        id: The vendor's id of the task; for a batch, the unique name that we gave the job.
        look: Address that tells how it stands, or "" where the service's table says it.
        cancel: Address that cancels it, or "".
        result: Address of its result once it is done, or "".
        key: The line's key in a batch, or "".
    """

    kind: Literal["task", "batch"]
    id: str
    look: str = ""
    cancel: str = ""
    result: str = ""
    key: str = ""
