"""Task APIs: a submit that is answered at once, looks, a result, perhaps a webhook.

All share the bank, the quotas and the studio of the held calls. Each has a prefix of its own, so
that they do not meet; `FakeServer.service_url(name)` is the base URL that a client is given.

article     relays' announced task mode; result as a held call's answer, links or base64
    submit  POST /v1/images/generations/async, POST /v1/images/edits/async; `webhook_url`
    look    GET /v1/tasks/{id}
    cancel  POST /v1/tasks/{id}/cancel
    signs   Standard Webhooks
comfly      also T8star; result `data.data.data[]`, links or base64
    submit  POST /comfly/v1/images/generations?async=true, POST /comfly/v1/images/edits?async=true
    look    GET /comfly/v1/images/tasks/{id}
evolink     result `results[]`, links
    submit  POST /evolink/v1/images/generations; `callback_url`
    look    GET /evolink/v1/tasks/{id}
    signs   nothing
kie         result `data.resultJson`, JSON in a string, links
    submit  POST /kie/api/v1/jobs/createTask; `callBackUrl`
    look    GET /kie/api/v1/jobs/recordInfo?taskId={id}
    signs   HMAC over the task's id and the time, not the body
fal         result `images[].url`, links, at an address of its own; key as `Authorization: Key ...`
    submit  POST /fal/{owner}/{model}, POST /fal/{owner}/{model}/edit; `?fal_webhook=`
    look    GET /fal/{owner}/{model}/requests/{id}/status
    result  GET /fal/{owner}/{model}/requests/{id}, and the same with /response
    cancel  PUT /fal/{owner}/{model}/requests/{id}/cancel
    signs   Ed25519; GET /fal/.well-known/jwks.json
replicate   result `output`, a link or a list of links
    submit  POST /replicate/v1/models/{owner}/{model}/predictions, POST /replicate/v1/predictions;
            `webhook`, `webhook_events_filter` ("start", "completed")
    look    GET /replicate/v1/predictions/{id}
    cancel  POST /replicate/v1/predictions/{id}/cancel
    signs   Standard Webhooks; GET /replicate/v1/webhooks/default/secret
google-interactions     result `steps[].content[]`, links or base64; `FakeServer(interactions=True)`
            (all below /v1 as well)
    submit  POST /v1beta/interactions with `background: true`; `webhook_config`
    look    GET /v1beta/interactions/{id}
    cancel  POST /v1beta/interactions/{id}/cancel; DELETE /v1beta/interactions/{id}
    signs   JWT by RS256; GET /.well-known/jwks.json
"""

from nbp_async.fake.tasks.article import Article
from nbp_async.fake.tasks.comfly import Comfly
from nbp_async.fake.tasks.evolink import Evolink
from nbp_async.fake.tasks.fal import Fal
from nbp_async.fake.tasks.interactions import Interactions
from nbp_async.fake.tasks.kie import Kie
from nbp_async.fake.tasks.replicate import Replicate
from nbp_async.fake.tasks.service import Service


def services_of(*, interactions: bool = False) -> tuple[Service, ...]:
    """All services; Google's only where they are wanted."""
    known = (Article(), Comfly(), Evolink(), Kie(), Fal(), Replicate())
    return (*known, Interactions()) if interactions else known


def base_of(name: str) -> str:
    """The path below which a service is found.

    Raises:
        ValueError: None is called so.
    """
    bases = {service.name: service.base for service in services_of(interactions=True)}
    if name not in bases:
        raise ValueError(f"no task service is called {name!r}: there are {', '.join(bases)}")
    return bases[name]
