"""Options of `nbp many --via webhook` and `nbp listen`: where services call back, and secrets."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import click

from nbp_async import Profile, SchemeName, Webhook
from nbp_async.cli import exit_codes
from nbp_async.cli.shared_options import add_options

SCHEMES = get_args(SchemeName)
_SECRET = "NBP_WEBHOOK_SECRET"
_WITH_SECRET = ("standard", "kie")  # schemes that need a secret
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class WebhookSettings:
    """Where tasks call back, as the user said; see `Webhook`.

    Attributes:
        public_url: Where the service reaches this machine, or "".
        host: Address to listen on.
        port: Port to listen on; 0 for a free one.
        scheme: How the service signs; None for what its table says.
        names: Variables that hold the secret.
        files: Files that hold it.
        inbox: File that records which webhooks came; None for memory.
    """

    public_url: str
    host: str
    port: int
    scheme: SchemeName | None
    names: tuple[str, ...]
    files: tuple[Path, ...]
    inbox: Path | None

    def first_given(self) -> str:
        """The first option that the user gave, without the defaults of host and port; or ""."""
        given = {
            "--public-url": self.public_url,
            "--webhook-scheme": self.scheme,
            "--inbox": self.inbox,
            "--secret-env": self.names,
            "--secret-file": self.files,
        }
        return next((name for name, value in given.items() if value), "")

    def for_profile(self, profile: Profile) -> Webhook:
        """The webhook for this service.

        Raises:
            InvalidUseError: The secret is missing, or an address that the service can reach.
            ConfigError: It cannot work otherwise. Nothing was sent.
        """
        if not self.public_url and not profile.is_local:
            raise exit_codes.InvalidUseError(
                f"--via webhook: say where {profile.name} reaches this machine, with --public-url "
                "https://… . Nothing was sent."
            )
        scheme = self.scheme or (profile.tasks.signs if profile.tasks else "") or "standard"
        return Webhook(
            public_url=self.public_url,
            host=self.host,
            port=self.port,
            scheme=cast("SchemeName", scheme),
            secret=read_secrets(scheme, self.names, self.files),
            inbox=self.inbox,
        )


secret_options = add_options(
    click.option(
        "--secret-env",
        metavar="NAME",
        multiple=True,
        help="Variable that holds the secret of webhooks; give two while the secret changes. "
        f"Default: {_SECRET}.",
    ),
    click.option(
        "--secret-file",
        metavar="FILE",
        multiple=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="File that holds the secret.",
    ),
    click.option(
        "--inbox",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Record here for a week which webhooks came. Default: in memory.",
    ),
)
_options = add_options(
    click.option(
        "--public-url",
        metavar="URL",
        default="",
        help="With --via webhook: the https address that the service calls, without the last part "
        "of the path; nginx or a tunnel forwards it to this machine.",
    ),
    click.option(
        "--listen-host",
        metavar="HOST",
        default="127.0.0.1",
        show_default=True,
        help="Address to listen on for webhooks.",
    ),
    click.option(
        "--listen-port",
        metavar="N",
        type=click.IntRange(0, 65535),
        default=8789,
        show_default=True,
        help="Port to listen on; 0 for a free one.",
    ),
    click.option(
        "--webhook-scheme",
        type=click.Choice(SCHEMES),
        help="How the service signs. Default: as its table says, else standard.",
    ),
    secret_options,
)


def webhook_options(command: Command) -> Command:
    """`--public-url` and so on; the command gets them as `webhook`, None for other deliveries.

    Raises:
        InvalidUseError: One of them is given without `--via webhook`.
    """

    @functools.wraps(command)
    def with_webhook(
        public_url: str,
        listen_host: str,
        listen_port: int,
        webhook_scheme: SchemeName | None,
        secret_env: tuple[str, ...],
        secret_file: tuple[Path, ...],
        inbox: Path | None,
        **others: Any,
    ) -> Any:
        webhook = WebhookSettings(
            public_url=public_url,
            host=listen_host,
            port=listen_port,
            scheme=webhook_scheme,
            names=secret_env,
            files=secret_file,
            inbox=inbox,
        )
        if others.get("via") == "webhook":
            return command(webhook=webhook, **others)
        unused = webhook.first_given()
        if unused:
            raise exit_codes.InvalidUseError(f"{unused} needs --via webhook. Nothing was sent.")
        return command(webhook=None, **others)

    return cast("Command", _options(with_webhook))


def read_secrets(scheme: str, names: tuple[str, ...], files: tuple[Path, ...]) -> list[str]:
    """The secrets that webhooks are signed with.

    Raises:
        InvalidUseError: One that is needed is missing.
    """
    if not names and not files and scheme in _WITH_SECRET:
        names = (_SECRET,)
    # Only names of variables and files come from arguments: those are in everybody's `ps`.
    missing = [name for name in names if not os.environ.get(name, "").strip()]
    if missing:
        raise exit_codes.InvalidUseError(
            f"{missing[0]} is not set: it must hold the secret that webhooks are signed with. "
            "--secret-env names another variable, --secret-file a file."
        )
    return [os.environ[name].strip() for name in names] + [_read(file) for file in files]


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        # Raised below: as the cause, the decoding error would hold the secret's bytes.
        problem = exit_codes.InvalidUseError(f"{file} cannot be read: {exc}")
    raise problem
