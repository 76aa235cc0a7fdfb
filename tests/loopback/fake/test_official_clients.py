"""Official clients, unpatched, do here what they do at their vendor."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from nbp_async.fake import FakeServer, faults
from tests.loopback.fake.api_client import vendor
from tests.loopback.fake.sdk_environment import client_python, run_calls, run_node
from tests.loopback.fake.task_client import hook_receiver, task_of

pytestmark = pytest.mark.slow

REPLICATE = {
    "run_a_model": "png 1376x768",
    "run_a_version": True,
    "make_and_wait": ("starting", "succeeded", "hidden", 1),
    "edit_a_file": ("succeeded", ["a.png"], True),
    "cancel": "canceled",
    "listed": (None, "canceled", 5),
    "models": (True, 1),
    "account": ("user", "whsec_"),
    "a_refused_prompt": "The request was rejected by the safety system.",
    "a_wrong_key": (401, "Unauthenticated"),
    "a_wrong_model": (404, "Not Found"),
}
FAL = {
    "run_a_model": ["png 1376x768"],
    "edit": ["png 1376x768"],
    "submit": ("Completed", True, True, ["png 1376x768"]),
    "subscribe": ("Completed", ["png 1376x768"]),
    "cancel": ("Completed", "request_cancelled"),
    "a_refused_prompt": (422, "list"),
    "a_wrong_key": (401, "str"),
    "a_wrong_size": (422, "list"),
}


FRAMEWORKS = {
    "pydantic_ai_with_google": ("jpeg 1024x1024", 1332),
    "pydantic_ai_with_openai": "png 1024x1024",
    "langchain_with_google": (["jpeg 1024x1024"], 1340),
    "langchain_with_openai": ["png 1536x1024"],
}
NODE = {
    "openai_generate": '["png 1536x1024",196]',
    "openai_respond": '"png 1536x1024"',
    "openai_wrong_key": "AuthenticationError 401",
    "google_generate": '["jpeg 2752x1536",1126]',
    "google_stream": "1",
    "google_wrong_key": "ApiError 400",
    "ai_openai_image": '"png 1536x1024"',
    "ai_google_image": '"jpeg 1376x768"',
    "ai_google_text": '["Here is your image.",["jpeg 1024x1024"]]',
    "replicate_run": '"png 1024x1024"',
}


def as_text(results: Mapping[str, object]) -> dict[str, str]:
    return {name: str(result) for name, result in results.items()}


class Trust(NamedTuple):
    """What a server needs to speak https, and the environment that makes clients trust it."""

    context: ssl.SSLContext
    env: Mapping[str, str]


@pytest.fixture
def tls(tmp_path: Path) -> Trust:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    return Trust(context, {"SSL_CERT_FILE": str(trusted)})


def test_replicate(tls: Trust) -> None:
    with FakeServer.in_thread(latency=0.1, tls=tls.context) as server:
        server.script(faults.blocked(), match="please refuse")
        url = server.service_url("replicate").removesuffix("/v1")
        args = (url, server.key)
        done = run_calls(client_python("services"), "replicate_calls", *args, env=tls.env)
        assert done == as_text(REPLICATE)
        entries = [(entry.prompt, entry.delivered) for entry in server.bank.ledger]
    assert entries == [("a cat", True), ("a cat", True), ("a dog", True), ("a cat", True)]


def test_fal(tls: Trust) -> None:
    with FakeServer.in_thread(latency=0.1, tls=tls.context) as server:
        server.script(faults.blocked(), match="please refuse")
        queue = server.service_url("fal").removeprefix("https://")
        hosts = {"FAL_QUEUE_RUN_HOST": queue, "FAL_RUN_HOST": f"{queue}/run"}
        env = {**tls.env, **hosts, "FAL_KEY": server.key}
        done = run_calls(client_python("services"), "fal_calls", env=env)
        assert done == as_text(FAL)
        assert all(entry.delivered for entry in server.bank.ledger)
        assert len(server.bank.ledger) == 4


def test_frameworks() -> None:
    with FakeServer.in_thread(latency=0) as server:
        args = (server.base_url, server.key)
        done = run_calls(client_python("frameworks"), "framework_calls", *args)
        assert done == as_text(FRAMEWORKS)
        assert [entry.delivered for entry in server.bank.ledger] == [True] * 4


def test_clients_in_javascript() -> None:
    with FakeServer.in_thread(latency=0.05) as server:
        assert run_node("node_calls.mjs", server.base_url, server.key) == NODE
        assert [entry.delivered for entry in server.bank.ledger] == [True] * 8


async def test_verifiers_of_standard_webhooks_accept_what_is_signed_and_nothing_else(
    tmp_path: Path,
) -> None:
    """One webhook as it is sent, and one with another body."""
    python = await asyncio.to_thread(client_python, "services")
    async with vendor() as call, hook_receiver() as receiver:
        await task_of(call, "a cat", webhook_url=receiver.url)
        await call.server.drain(webhooks=True)
        ((headers, body),) = receiver.webhooks
        bodies = (body.decode(), body.decode() + " ")
        file = tmp_path / "webhooks.json"
        file.write_text(json.dumps([{"headers": headers, "body": text} for text in bodies]))
        args = (str(file), call.server.webhook_secret)
        done = await asyncio.to_thread(run_calls, python, "verifier_calls", *args)
    refused = ["ok", "WebhookVerificationError"]
    assert done == as_text({"standard_webhooks": refused, "svix_webhooks": refused})
