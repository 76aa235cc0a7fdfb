"""Traces and metrics of what a client does, by OpenTelemetry (extra `[otel]`).

```python
from nbp_async.telemetry import OpenTelemetry

async with Client.from_env(listeners=[OpenTelemetry()]) as gen:
    batch = await gen.many(prompts)
```

Only the API is needed here: where spans and figures go is set up by the program, with the SDK of
its choice. Without one nothing happens, and that costs a few microseconds an image.
"""

from nbp_async.telemetry.otel import OpenTelemetry

__all__ = ["OpenTelemetry"]
