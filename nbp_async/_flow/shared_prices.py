"""What a prompt's image costs at each of several accounts, and which of them can make it."""

from collections.abc import Iterator, Sequence

from nbp_async._base.errors import ConfigError
from nbp_async._flow.job_prices import JobPrices, PricedCanvas
from nbp_async._models.outcomes import Job, Prompt
from nbp_async._vendors.sizes import canvas_for, default_size


class SharedPrices:
    """Checks the prompts of a call that goes to several accounts. See `job_prices.PromptPrices`.

    A job is described by the model that the call names, whoever makes it: its identity in a run's
    journal is the same with any accounts, in any order.

    Args:
        model: The model as the call names it, under one name for all its spellings.
        accounts: The prices at each account; None for one that this call cannot ask.
    """

    def __init__(self, model: str, accounts: Sequence[JobPrices | None]) -> None:
        self.model = model
        self._accounts = accounts

    def of(self, prompt: Prompt) -> PricedCanvas:
        """How it is asked for, and what it costs at the dearest account that can make it.

        Raises:
            ConfigError: None of them can.
        """
        size, references = prompt.size or default_size(self.model), len(prompt.references)
        canvas = canvas_for(self.model, size, prompt.aspect_ratio, references=references)
        dearest = max((priced for _, _, priced in self._offers(prompt)), key=lambda one: one.most)
        return dearest._replace(canvas=canvas)

    def jobs(self, job: Job) -> Iterator[tuple[int, Job]]:
        """The job as each account that can make it is asked for it, by the account's place.

        Raises:
            ConfigError: None of them can.
        """
        for place, model, priced in self._offers(job.prompt):
            yield place, Job(job.index, job.prompt, job.copy, model, *priced)

    def _offers(self, prompt: Prompt) -> list[tuple[int, str, PricedCanvas]]:
        offers, problem = [], None
        for place, prices in enumerate(self._accounts):
            if prices is None:
                continue
            try:
                offers.append((place, prices.model, prices.of(prompt)))
            except ConfigError as exc:
                problem = problem or exc
        if not offers and problem is not None:
            raise problem
        return offers
