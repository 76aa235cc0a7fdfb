"""A trap: Google's SDK as it comes. It sends once more what its connection lost, and pays again."""

from google.genai import types

from bench.strategies.base import CallRecord, Work
from bench.strategies.genai_sdk import make_all


async def run(work: Work) -> list[CallRecord]:
    return await make_all(work, types.HttpOptions(base_url=work.root))
