"""What holds for every task service beside the contract of dialects, built from its table."""

import json
from typing import Any

import pytest

from nbp_async._base.errors import ContentBlockedError, MalformedReplyError, TaskFailedError
from nbp_async._base.task_handle import Handle
from nbp_async._dialects.base import Answer
from nbp_async._dialects.task_dialect import TaskImages
from tests.contracts.dialects.kit import KEY, LINK, TASK, TASKS, Subject, decode, state_of

HANDLE = Handle("task", TASK)


@pytest.fixture(params=TASKS, ids=str)
def service(request: pytest.FixtureRequest) -> Subject:
    found: Subject = request.param
    return found


def read(service: Subject, document: Any, known: Handle | None = HANDLE) -> Answer:
    assert isinstance(service.dialect, TaskImages)
    dialect = service.dialect
    decoder = dialect.decoder() if known is None else dialect.poll_decoder(known)
    answer = decode(decoder, json.dumps(document).encode(), step=3).answer
    assert answer is not None
    return answer


def table_of(service: Subject) -> Any:
    assert isinstance(service.dialect, TaskImages)
    return service.dialect.table


def test_every_pending_state_is_a_task_to_poll_again(service: Subject) -> None:
    table = table_of(service)
    for state in table.pending:
        for known in (None, HANDLE):
            answer = read(service, state_of(table, state.upper()), known)
            assert answer.handle == HANDLE
            assert (answer.images, answer.links) == ((), ())


def test_a_result_that_is_there_while_the_state_is_pending_is_not_taken(service: Subject) -> None:
    table = table_of(service)
    document = state_of(table, table.pending[0], **{table.links[0]: [LINK.uri]})
    assert read(service, document).links == ()


def test_every_failed_state_is_a_failure_with_the_services_billing(service: Subject) -> None:
    table = table_of(service)
    for state in table.failed:
        with pytest.raises(TaskFailedError) as caught:
            read(service, state_of(table, state))
        assert (caught.value.task, caught.value.billing) == (TASK, table.billed_failed)
        assert not caught.value.is_transient


def test_a_failure_that_may_pass_says_so(service: Subject) -> None:
    table = table_of(service)
    for code in table.passing:
        with pytest.raises(TaskFailedError) as caught:
            read(service, state_of(table, table.failed[0], **{table.code[0]: [code]}))
        assert caught.value.is_transient


def test_a_failure_for_what_was_asked_is_a_block(service: Subject) -> None:
    table = table_of(service)
    for code in ("content_policy_violation", "MODERATION_BLOCKED", "safety"):
        with pytest.raises(ContentBlockedError):
            read(service, state_of(table, table.failed[0], **{table.code[0]: [code]}))


def test_a_state_that_nobody_knows_and_another_task_are_no_success(service: Subject) -> None:
    table = table_of(service)
    with pytest.raises(MalformedReplyError, match="half-baked"):
        read(service, state_of(table, "half-baked"))
    with pytest.raises(MalformedReplyError, match="not ours"):
        read(service, state_of(table, table.done[0]), Handle("task", "another"))
    with pytest.raises(MalformedReplyError, match="no id"):
        read(service, {}, None)


def test_polls_and_cancellations_go_to_the_service_with_the_key_in_one_header(
    service: Subject,
) -> None:
    assert isinstance(service.dialect, TaskImages)
    handle = Handle("task", "t/1 ?")
    requests = [service.dialect.poll(handle, "m", KEY), service.dialect.cancel(handle, "m", KEY)]
    assert (requests[1] is None) is not bool(service.dialect.table.cancel)
    for request in filter(None, requests):
        assert request.url.startswith(service.profile.base_url + "/")
        assert "t%2F1%20%3F" in request.url, "an id cannot change the path"
        assert sum(KEY in value for value in request.headers.values()) == 1
        assert (KEY in request.url, request.body) == (False, b"")


def test_an_address_at_another_host_never_gets_the_key(service: Subject) -> None:
    table = table_of(service)
    for place in filter(None, (table.look_url, table.cancel_url, table.result_url)):
        for url in ("https://evil.example/x", service.profile.base_url.replace("://", "://a@")):
            document = state_of(table, table.pending[0], **{place: [url]})
            with pytest.raises(MalformedReplyError, match="the key is sent to"):
                read(service, document)
