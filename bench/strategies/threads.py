"""requests in a ThreadPoolExecutor: a thread waits for each image."""

from concurrent.futures import ThreadPoolExecutor

import requests
from requests.adapters import HTTPAdapter

from bench.strategies.base import CallRecord, Work
from bench.strategies.sequential import make


def run(work: Work) -> list[CallRecord]:
    with requests.Session() as session, ThreadPoolExecutor(work.at_once) as pool:
        session.headers.update(work.headers)
        # Without it ten connections are kept, and all others are thrown away after one call.
        session.mount("http://", HTTPAdapter(pool_maxsize=work.at_once))
        return list(pool.map(lambda job: make(session, work, job), work.jobs))
