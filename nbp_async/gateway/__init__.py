"""A service before the vendor: it hides the key, and gives tasks, budgets and a page.

```python
from nbp_async import Client
from nbp_async.gateway import GatewaySettings, gateway_app

app = gateway_app(Client.from_env, GatewaySettings(folder="gateway"))
# aiohttp.web.run_app(app), or service.add_subapp("/pictures/", app) with a public_url that says so
```

It is a thin room over a run (`Client.open_run`): a task is a ticket, a user is an owner. Every task
outlives the process, with its money. `nbp serve` runs it, `nbp users` gives tokens.
"""

from nbp_async.gateway.gateway_app import gateway_app, open_users
from nbp_async.gateway.gateway_settings import GatewaySettings
from nbp_async.gateway.users import User, Users

__all__ = ["GatewaySettings", "User", "Users", "gateway_app", "open_users"]
