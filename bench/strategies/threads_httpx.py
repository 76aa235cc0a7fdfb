"""httpx in a ThreadPoolExecutor: the same with a younger library."""

import base64
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from bench.strategies.base import CallRecord, Job, Work, record_call


def run(work: Work) -> list[CallRecord]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=work.at_once)
    timeout = httpx.Timeout(600, connect=10)
    with (
        httpx.Client(headers=work.headers, limits=limits, timeout=timeout) as client,
        ThreadPoolExecutor(work.at_once) as pool,
    ):
        return list(pool.map(lambda job: make(client, work, job), work.jobs))


def make(client: httpx.Client, work: Work, job: Job) -> CallRecord:
    with record_call(job) as record:
        for tries in range(1, 100):
            answer = client.post(work.endpoint, json=work.body(job))
            wait = work.retry_wait(answer.status_code, answer.headers, tries)
            if wait is None:
                break
            time.sleep(wait / work.scale)
        answer.raise_for_status()
        entry = answer.json()["data"][0]
        if work.link:
            image = httpx.get(entry["url"], timeout=60).content
        else:
            image = base64.b64decode(entry["b64_json"])
        record.size = work.save(job, image)
    return record
