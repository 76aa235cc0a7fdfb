"""Task APIs: a submit that is answered at once, polls, a result, perhaps a webhook.

All share the bank, the quotas and the renderer of the held calls. What each service looks like is
data: `task_services.toml`. `FakeServer.service_url(name)` is the base URL that a client is given.

article     relays' announced task mode; result as a held call's answer, links or base64
    submit  POST /v1/images/generations/async, POST /v1/images/edits/async; `webhook_url`
    poll    GET /v1/tasks/{id}, GET /v1/tasks/{id}/status
    cancel  POST /v1/tasks/{id}/cancel
    signs   Standard Webhooks
comfly      also T8star; result `data.data.data[]`, links or base64
    submit  POST /comfly/v1/images/generations?async=true, POST /comfly/v1/images/edits?async=true
    poll    GET /comfly/v1/images/tasks/{id}
sub2api     result `result.data[].url`, links; 202 to a submit
    submit  POST /sub2api/v1/images/generations/async, POST /sub2api/v1/images/edits/async
    poll    GET /sub2api/v1/images/tasks/{id}
bifrost     result as a held call's answer; 202 to a submit and while it is open
    submit  POST /bifrost/v1/async/images/generations, POST /bifrost/v1/async/images/edits
    poll    GET /bifrost/v1/async/images/generations/{id}, and the same with edits
evolink     result `results[]`, links
    submit  POST /evolink/v1/images/generations; `callback_url`
    poll    GET /evolink/v1/tasks/{id}
    signs   nothing
kie         result `data.resultJson`, JSON in a string, links
    submit  POST /kie/api/v1/jobs/createTask; `callBackUrl`
    poll    GET /kie/api/v1/jobs/recordInfo?taskId={id}
    signs   HMAC over the task's id and the time, not the body
fal         result `images[].url`, links, at an address of its own; key as `Authorization: Key ...`
    submit  POST /fal/{owner}/{model}, POST /fal/{owner}/{model}/edit; `?fal_webhook=`
    run     POST /fal/run/{owner}/{model}, held until the result
    poll    GET /fal/{owner}/{model}/requests/{id}/status; `?logs=1`; below it /stream, as events
    result  GET /fal/{owner}/{model}/requests/{id}, and the same with /response
    cancel  PUT /fal/{owner}/{model}/requests/{id}/cancel
    signs   Ed25519; GET /fal/.well-known/jwks.json
replicate   result `output`, a link or a list of links
    submit  POST /replicate/v1/models/{owner}/{model}/predictions, POST /replicate/v1/predictions;
            `webhook`, `webhook_events_filter` ("start", "completed"); held with `Prefer: wait`
    poll    GET /replicate/v1/predictions/{id}; GET /replicate/v1/predictions lists them
    cancel  POST /replicate/v1/predictions/{id}/cancel
    signs   Standard Webhooks; GET /replicate/v1/webhooks/default/secret
    more    models, versions, files, the account: see `replicate_catalog`
responses   OpenAI's; result `output[].result`, base64; held without `background: true`
    submit  POST /v1/responses with an `image_generation` tool
    poll    GET /v1/responses/{id}
    cancel  POST /v1/responses/{id}/cancel; DELETE /v1/responses/{id}
    signs   Standard Webhooks; sent to what POST /v1/webhook_endpoints has made
google-interactions     result `steps[].content[]`, links or base64; `FakeServer(interactions=True)`
            (all below /v1 as well)
    submit  POST /v1beta/interactions with `background: true`; `webhook_config`
    poll    GET /v1beta/interactions/{id}
    cancel  POST /v1beta/interactions/{id}/cancel; DELETE /v1beta/interactions/{id}
    signs   JWT by RS256; GET /.well-known/jwks.json
"""

from nbp_async.fake.tasks.service_table import service_tables
from nbp_async.fake.tasks.task_service import TaskService


def services_of(*, interactions: bool = False) -> tuple[TaskService, ...]:
    """All services; Google's only where they are wanted."""
    return tuple(
        TaskService(name, table)
        for name, table in service_tables().items()
        if interactions or name != "google-interactions"
    )


def base_of(name: str) -> str:
    """The path of a service's base URL.

    Raises:
        ValueError: No service has this name.
    """
    tables = service_tables()
    if name not in tables:
        raise ValueError(f"no task service is called {name!r}; there are {', '.join(tables)}")
    return tables[name].base
