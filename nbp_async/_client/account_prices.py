"""What the images of a call cost at each of several accounts."""

from collections.abc import Sequence

from nbp_async._base.errors import ConfigError
from nbp_async._client.call_prices import job_prices
from nbp_async._client.endpoint_account import EndpointAccount
from nbp_async._client.options import ImageOptions
from nbp_async._flow.job_prices import JobPrices
from nbp_async._flow.shared_prices import SharedPrices
from nbp_async._vendors.catalog import plain_name


def shared_prices(
    accounts: Sequence[EndpointAccount], model: str, options: ImageOptions, unpriced: set[str]
) -> SharedPrices:
    """What they cost at each account. One that cannot be asked so is left out.

    Raises:
        ConfigError: None of them can, or one has no price that a limit could count.
    """
    found: list[JobPrices | None] = []
    problem = None
    for one in accounts:
        name = one.spelling(model)
        try:
            found.append(job_prices(one.profile, name, options, "held", one.limits, unpriced))
        except ConfigError as exc:
            if exc.option in ("max_cost", "spend"):
                raise
            found.append(None)
            problem = problem or exc
    if problem is not None and not any(found):
        raise problem
    return SharedPrices(plain_name(model), found)
