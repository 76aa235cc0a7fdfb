"""Webhooks of image services, received by a service of your own.

```python
from nbp_async.webhooks import Receiver, Webhook

hooks = Receiver(Webhook(secret=os.environ["HOOK_SECRET"], path="vendor"), on_event=print)
service.add_subapp("/hooks/", hooks.app())  # an aiohttp service; POST /hooks/vendor
```

Each webhook is verified over its raw bytes, kept once, and passed to `on_event`. It is only a hint:
ask the service what became of the task, and where its image is.
"""

from nbp_async._transports.private_addresses import refusal_of
from nbp_async._webhooks.hook_server import HookServer
from nbp_async._webhooks.receiver import Receiver, ReceiverCounts
from nbp_async._webhooks.webhook import Webhook
from nbp_async._webhooks.webhook_message import WebhookEvent

__all__ = ["HookServer", "Receiver", "ReceiverCounts", "Webhook", "WebhookEvent", "refusal_of"]
