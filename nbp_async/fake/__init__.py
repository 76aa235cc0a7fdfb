"""A server that imitates the vendors' APIs, with latency, faults and a bank that keeps a ledger.

What can go wrong there is in `nbp_async.fake.faults`, and for tasks in
`nbp_async.fake.task_faults`.
"""

from nbp_async.fake.process import SpawnedServer, spawn
from nbp_async.fake.server import FakeServer

__all__ = ["FakeServer", "SpawnedServer", "spawn"]
