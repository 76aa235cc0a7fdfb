"""One after another, with requests: what everybody writes first."""

import base64
import time

import requests

from bench.strategies.base import CallRecord, Job, Work, record_call


def run(work: Work) -> list[CallRecord]:
    with requests.Session() as session:
        session.headers.update(work.headers)
        return [make(session, work, job) for job in work.jobs]


def make(session: requests.Session, work: Work, job: Job) -> CallRecord:
    """One image, with the article's timeouts; tried again only after a refusal, which is free."""
    with record_call(job) as record:
        for tries in range(1, 100):
            answer = session.post(work.endpoint, json=work.body(job), timeout=(10, 600))
            wait = work.retry_wait(answer.status_code, answer.headers, tries)
            if wait is None:
                break
            time.sleep(wait / work.scale)
        answer.raise_for_status()
        entry = answer.json()["data"][0]
        if work.link:
            image = requests.get(entry["url"], timeout=60).content
        else:
            image = base64.b64decode(entry["b64_json"])
        record.size = work.save(job, image)
    return record
