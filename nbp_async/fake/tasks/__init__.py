"""Task APIs: a submit that is answered at once, looks, a result, perhaps a webhook.

All of them share the bank, the quotas and the studio of the held calls.

article
    submit   POST /v1/images/generations/async, POST /v1/images/edits/async; `webhook_url`
    look     GET /v1/tasks/{id}
    cancel   POST /v1/tasks/{id}/cancel
    signs    Standard Webhooks
"""

from nbp_async.fake.tasks.article import Article
from nbp_async.fake.tasks.service import Service

SERVICES: tuple[Service, ...] = (Article(),)
