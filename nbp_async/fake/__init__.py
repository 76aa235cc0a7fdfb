"""A server that imitates the vendors' APIs, with latency, faults and a bank that keeps a ledger."""

from nbp_async.fake.process import SpawnedServer, spawn
from nbp_async.fake.server import FakeServer

__all__ = ["FakeServer", "SpawnedServer", "spawn"]
