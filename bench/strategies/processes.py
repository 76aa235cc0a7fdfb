"""requests in a ProcessPoolExecutor: an interpreter waits for each image.

The processes are there, with all they import, before the first image is asked for.
"""

import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import requests

from bench.strategies.base import CallRecord, Job, Work
from bench.strategies.sequential import make

_pools: list[ProcessPoolExecutor] = []


def warm(work: Work) -> None:
    """Start all the processes; each is kept busy until the last of them is there."""
    pool = ProcessPoolExecutor(work.at_once, mp_context=get_context("spawn"))
    list(pool.map(_wake, range(work.at_once * 2)))
    _pools.append(pool)


def run(work: Work) -> list[CallRecord]:
    return list(_pools[-1].map(partial(make_alone, work.without_jobs), work.jobs))


def close() -> None:
    """End the processes."""
    _pools.pop().shutdown()


def make_alone(work: Work, job: Job) -> CallRecord:
    """One image, in a process that has nothing from the others."""
    with requests.Session() as session:
        session.headers.update(work.headers)
        return make(session, work, job)


def _wake(_: int) -> None:
    time.sleep(0.05)
