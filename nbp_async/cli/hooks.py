"""Where services call back: what `nbp many --via webhook` and `nbp listen` have in common."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from nbp_async import Profile, Webhook
from nbp_async._keys import is_loopback
from nbp_async._webhooks.schemes import SchemeName
from nbp_async.cli import codes

SCHEMES = ("standard", "kie", "fal", "google", "none")
SECRET = "NBP_WEBHOOK_SECRET"
_SHARED = ("standard", "kie")  # schemes that need a secret
_PUBLIC = "What the service is told, up to the last part of the path: https."
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Hook:
    """Where tasks call back, as far as it was said; see `Webhook`.

    Attributes:
        scheme: How the service signs; None for what its table says.
        names, files: Variables and files that hold the secret.
    """

    public_url: str
    host: str
    port: int
    scheme: SchemeName | None
    names: tuple[str, ...]
    files: tuple[Path, ...]
    inbox: Path | None

    def webhook(self, profile: Profile) -> Webhook:
        """The webhook for this service.

        Raises:
            Misuse: There is no secret, or no address that the service can reach.
            ConfigError: It cannot work otherwise. Nothing was sent.
        """
        if not self.public_url and not is_loopback(profile.host):
            raise codes.Misuse(
                f"--via webhook: say where {profile.name} reaches this machine, with --public-url "
                "https://… . Nothing was sent."
            )
        scheme = self.scheme or (profile.tasks.signs if profile.tasks else "") or "standard"
        return Webhook(
            public_url=self.public_url,
            host=self.host,
            port=self.port,
            scheme=cast("SchemeName", scheme),
            secret=secrets_of(scheme, self.names, self.files),
            inbox=self.inbox,
        )


def hook_options(command: Command) -> Command:
    """`--public-url` and so on; the command gets them as `hook`, None where it is not called back.

    Raises:
        Misuse: One of them is there, and no `--via webhook`.
    """

    @functools.wraps(command)
    def with_hook(
        public_url: str, listen_host: str, listen_port: int, webhook_scheme: SchemeName | None,
        secret_env: tuple[str, ...], secret_file: tuple[Path, ...], inbox: Path | None,
        **others: Any,
    ) -> Any:  # fmt: skip
        hook = Hook(public_url=public_url, host=listen_host, port=listen_port, inbox=inbox,
                    scheme=webhook_scheme, names=secret_env, files=secret_file)  # fmt: skip
        if others.get("via") == "webhook":
            return command(hook=hook, **others)
        given = {"--public-url": public_url, "--webhook-scheme": webhook_scheme, "--inbox": inbox,
                 "--secret-env": secret_env, "--secret-file": secret_file}  # fmt: skip
        idle = [name for name, value in given.items() if value]
        if idle:
            raise codes.Misuse(f"{idle[0]} is for --via webhook. Nothing was sent.")
        return command(hook=None, **others)

    wrapped: Any = with_hook
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return cast("Command", wrapped)


def secret_options(command: Command) -> Command:
    """`--secret-env` and `--secret-file`, both perhaps more than once, and `--inbox`."""
    for option in reversed(_SECRETS):
        command = option(command)
    return command


def secrets_of(scheme: str, names: tuple[str, ...], files: tuple[Path, ...]) -> list[str]:
    """The secrets that webhooks are signed with.

    Raises:
        Misuse: One that is needed is not there.
    """
    if not names and not files and scheme in _SHARED:
        names = (SECRET,)
    missing = [name for name in names if not os.environ.get(name, "").strip()]
    if missing:
        raise codes.Misuse(
            f"{missing[0]} is not set: it should hold the secret that webhooks are signed with. "
            "--secret-env names another variable, --secret-file a file."
        )
    return [os.environ[name].strip() for name in names] + [_read(file) for file in files]


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        problem = codes.Misuse(f"{file} cannot be read: {exc}")
    raise problem


_SECRETS = (
    click.option("--secret-env", metavar="NAME", multiple=True,
                 help=f"Variable that holds the secret of webhooks; two of them while it is "
                 f"changed. Default: {SECRET}."),
    click.option("--secret-file", metavar="FILE", multiple=True,
                 type=click.Path(exists=True, dir_okay=False, path_type=Path),
                 help="File that holds it."),
    click.option("--inbox", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
                 help="Keep which webhooks came here, for a week. Default: in memory."),
)  # fmt: skip
_OPTIONS = (
    click.option("--public-url", metavar="URL", default="",
                 help=f"With --via webhook: {_PUBLIC[0].lower()}{_PUBLIC[1:]} nginx or a tunnel "
                 "passes it on to this machine."),
    click.option("--listen-host", metavar="HOST", default="127.0.0.1", show_default=True,
                 help="Address to listen on for webhooks."),
    click.option("--listen-port", metavar="N", type=click.IntRange(0, 65535), default=8789,
                 show_default=True, help="Port to listen on; 0 for a free one."),
    click.option("--webhook-scheme", type=click.Choice(SCHEMES),
                 help="How the service signs. Default: as its table says, else standard."),
    *_SECRETS,
)  # fmt: skip
