"""Webhooks of image services, taken in by a service of your own.

```python
from nbp_async.webhooks import Receiver, Webhook

hooks = Receiver(Webhook(secret=os.environ["HOOK_SECRET"], path="vendor"), tell=print)
service.add_subapp("/hooks/", hooks.app())  # an aiohttp service; POST /hooks/vendor
```

What came is checked as raw bytes, kept once, and told. It is a hint and no more: what became of a
task, and where its image is, the service says when it is asked.
"""

from nbp_async._webhooks.app import Receiver, Tally
from nbp_async._webhooks.door import Door
from nbp_async._webhooks.inbox import Event
from nbp_async._webhooks.settings import Webhook

__all__ = ["Door", "Event", "Receiver", "Tally", "Webhook"]
