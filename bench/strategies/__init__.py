"""Strategies for making images concurrently, each in a file that reads as an example."""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from bench.strategies.base import LoadedStrategy


@dataclass(frozen=True)
class StrategyInfo:
    """A line of the table.

    Attributes:
        name: On the command line and in the tables.
        module: Its file in this folder.
        words: What it is, in a line.
        needs: The package that must be installed.
        trap: People really write it, and it loses something.
        is_async: It can run on the virtual clock.
        links: It can fetch images by link.
        journal: It knows by itself what an earlier process has made or may have bought.
        bounded: It keeps to a number of calls in flight.
        holds: It holds a connection for as long as an image takes.
    """

    name: str
    module: str
    words: str
    needs: str = ""
    trap: bool = False
    is_async: bool = True
    links: bool = True
    bounded: bool = True
    holds: bool = True
    journal: bool = False

    @property
    def installed(self) -> bool:
        """What it needs is there."""
        try:
            return not self.needs or find_spec(self.needs) is not None
        except ModuleNotFoundError:
            return False


_ALL = (
    StrategyInfo(
        "sequential", "sequential", "requests, one after another", "requests", is_async=False
    ),
    StrategyInfo(
        "threads", "threads", "requests in a ThreadPoolExecutor", "requests", is_async=False
    ),
    StrategyInfo(
        "processes",
        "processes",
        "requests in a ProcessPoolExecutor, warmed",
        "requests",
        is_async=False,
    ),
    StrategyInfo(
        "threads_httpx", "threads_httpx", "httpx in a ThreadPoolExecutor", "httpx", is_async=False
    ),
    StrategyInfo("asyncio", "by_hand", "bare aiohttp by hand, as its best user writes it"),
    StrategyInfo("nbp", "nbp", "this library, held calls", journal=True),
    StrategyInfo(
        "nbp_poll", "nbp_poll", "this library, tasks that are polled", holds=False, journal=True
    ),
    StrategyInfo(
        "nbp_batch",
        "nbp_batch",
        "this library, the batch API at half price",
        links=False,
        holds=False,
        journal=True,
    ),
    StrategyInfo(
        "openai", "openai_sdk", "OpenAI's SDK, connections unlimited", "openai", links=False
    ),
    StrategyInfo("genai", "genai_sdk", "Google's SDK", "google.genai", links=False),
    StrategyInfo(
        "trap_defaults",
        "trap_defaults",
        "aiohttp as it comes: 100 connections, 300 s",
        trap=True,
        bounded=False,
    ),
    StrategyInfo(
        "trap_gather",
        "trap_gather",
        "gather over everything, no limit, no second try",
        trap=True,
        bounded=False,
    ),
    StrategyInfo("trap_sessions", "trap_sessions", "aiohttp, a session for every call", trap=True),
    StrategyInfo(
        "trap_genai",
        "genai_defaults",
        "Google's SDK as it comes",
        "google.genai",
        trap=True,
        links=False,
    ),
    StrategyInfo(
        "trap_openai",
        "openai_defaults",
        "OpenAI's SDK as it comes",
        "openai",
        trap=True,
        links=False,
        bounded=False,
    ),
)

STRATEGIES = {named.name: named for named in _ALL}


def load(name: str) -> LoadedStrategy:
    """Import a strategy.

    Raises:
        KeyError: None is called so.
        ImportError: Its package is not installed.
    """
    module = import_module(f"bench.strategies.{STRATEGIES[name].module}")
    more = {name: getattr(module, name) for name in ("warm", "close") if hasattr(module, name)}
    return LoadedStrategy(module.run, **more)
