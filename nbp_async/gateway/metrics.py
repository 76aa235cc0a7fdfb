"""The gateway in numbers, in Prometheus's text format."""

from nbp_async.gateway.outbox import Outbox
from nbp_async.gateway.service import Gateway

_HELP = {
    "nbp_tasks": ("gauge", "Tasks by state."),
    "nbp_requests_in_flight": ("gauge", "Requests that are out at the vendor now."),
    "nbp_vendor_pause_seconds": ("gauge", "Seconds until the vendor is asked again."),
    "nbp_dollars": ("gauge", "US dollars of all tasks."),
    "nbp_images": ("gauge", "Images that were made."),
    "nbp_webhooks_owed": ("gauge", "Webhooks that are still to be told."),
    "nbp_webhooks_delivered_total": (
        "counter",
        "Webhooks that were taken, since this process began.",
    ),
    "nbp_webhook_failures_total": ("counter", "Webhooks that were not, each try counted."),
    "nbp_submitted_total": ("counter", "Tasks that were taken, since this process began."),
    "nbp_ended_total": ("counter", "Tasks that ended, since this process began."),
    "nbp_up": ("gauge", "1 if images are made now."),
}


async def metrics_text(gateway: Gateway, outbox: Outbox) -> str:
    """The text."""
    counts, purse = await gateway.run.counts(), await gateway.run.account()
    gates = gateway.client.statistics().values()
    values: dict[str, list[tuple[str, float]]] = {
        "nbp_tasks": [
            (f'{{state="{state}"}}', getattr(counts, state))
            for state in ("ready", "later", "working", "stored", "failed")
        ],
        "nbp_requests_in_flight": [("", gateway.client.in_flight)],
        "nbp_vendor_pause_seconds": [("", max((gate.paused for gate in gates), default=0.0))],
        "nbp_dollars": [
            (f'{{kind="{kind}"}}', float(getattr(purse, kind)))
            for kind in ("held", "spent", "maybe")
        ],
        "nbp_images": [("", purse.images)],
        "nbp_webhooks_owed": [("", await outbox.owed())],
        "nbp_webhooks_delivered_total": [("", outbox.delivered)],
        "nbp_webhook_failures_total": [("", outbox.failed)],
        "nbp_submitted_total": [
            (f'{{user="{user}"}}', count) for user, count in gateway.counts.submitted.items()
        ],
        "nbp_ended_total": [
            (f'{{status="{status}"}}', count) for status, count in gateway.counts.ended.items()
        ],
        "nbp_up": [("", 0 if gateway.problem or gateway.draining else 1)],
    }
    lines = []
    for name, (kind, text) in _HELP.items():
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{labels} {value:g}" for labels, value in values[name]]
    return "\n".join(lines) + "\n"
