"""Which options of a call work with a journal in a database, which many machines share."""

from nbp_async._base.errors import ConfigError


def check_shared_run(via: str | None, shard: object) -> None:
    """Refuse options that a run cannot have whose journal is in a database.

    Raises:
        ConfigError: What it cannot have, and what to do instead.
    """
    if via == "batch":
        raise ConfigError(
            "batch jobs belong to one process, and a journal in a database to many: give a "
            "file as journal.",
            option="via",
            value="batch",
        )
    if shard is not None:
        raise ConfigError(
            "the machines of a run whose journal is in a database share its prompts by themselves.",
            option="shard",
            value=str(shard),
        )


def no_place(journal: str) -> ConfigError:
    """The error where nobody said what place all machines of a run have for its images."""
    return ConfigError(
        "all machines of the run need one place for its images: give a store, or a folder "
        "that all have mounted, as out.",
        option="journal",
        value=journal,
    )
