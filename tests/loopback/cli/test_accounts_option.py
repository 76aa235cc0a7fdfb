"""`nbp many --accounts FILE`: several accounts at once, from a file that names their keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nbp_async import Account, Client, ConfigError, Limits, read_accounts
from nbp_async.cli.app import app
from nbp_async.fake import FakeServer

KEYS = {"GOOGLE_SIDE_KEY": "sk-google-side-0001", "RELAY_KEY": "sk-relay-side-0002"}
FILE = """\
[google]
endpoint = "{google}"
keys = ["GOOGLE_SIDE_KEY"]
max_in_flight = 2

[relay]
endpoint = "{relay}"
keys = ["REVOKED_KEY", "RELAY_KEY"]
price = "0.05"
max_in_flight = 4
"""


class TwoVendors:
    """A folder with prompts and a file of accounts, and the servers that it names."""

    def __init__(self, folder: Path, google: FakeServer, relay: FakeServer) -> None:
        self.google, self.relay = google, relay
        self.prompts, self.out = folder / "prompts.txt", folder / "shop"
        self.file = folder / "accounts.toml"
        self.prompts.write_text("".join(f"bicycle {n}\n" for n in range(12)))
        self.file.write_text(FILE.format(google=google.gemini_url, relay=relay.openai_url))
        self.env = {
            **KEYS,
            "REVOKED_KEY": "sk-revoked-0003",
            "NBP_API_KEY": "sk-of-another-endpoint",
            "NBP_KEY_FILE": str(folder / "keys.toml"),
            "NBP_TRUST_TABLE": ",".join(s.base_url.partition("://")[2] for s in (google, relay)),
        }

    def nbp(self, *words: str, **environ: str) -> Result:
        """Run it, with further variables."""
        return CliRunner().invoke(app, words, env={**self.env, **environ})

    def many(self, *words: str, **environ: str) -> Result:
        """Make the prompts by the accounts of the file."""
        start = ("many", str(self.prompts), "--out", str(self.out), "--size", "1K")
        return self.nbp(*start, "--accounts", str(self.file), *words, **environ)


@pytest.fixture
def vendors(tmp_path: Path) -> Iterator[TwoVendors]:
    with (
        FakeServer.in_thread(latency=0.05, keys=[KEYS["GOOGLE_SIDE_KEY"]]) as google,
        FakeServer.in_thread(latency=0.05, keys=[KEYS["RELAY_KEY"]], prices={"*": "0.05"}) as relay,
    ):
        yield TwoVendors(tmp_path, google, relay)


def test_a_run_of_both_is_shown_by_account_and_goes_on(vendors: TwoVendors) -> None:
    done = vendors.many("--route", "cheapest", "--max-cost", "3")
    assert done.exit_code == 0, done.output
    made = {"google": vendors.google.bank.images, "relay": vendors.relay.bank.images}
    assert sum(made.values()) == 12
    assert made["relay"] >= 4
    shown = vendors.nbp("show", str(vendors.out)).output
    for name, count in made.items():
        if count:
            assert f"at {name}" in shown
            assert f"{count} image" in shown
    again = vendors.many("--route", "fastest")
    assert again.exit_code == 0, again.output
    assert vendors.google.bank.images + vendors.relay.bank.images == 12
    assert "sk-" not in done.output + shown + again.output


def test_a_dry_run_counts_the_dearest_and_sends_nothing(vendors: TwoVendors) -> None:
    done = vendors.many("--dry-run", NBP_TRUST_TABLE="")
    assert done.exit_code == 0, done.output
    assert "12 images: 12 to make, about $1.61" in done.output
    assert vendors.google.stats().requests == vendors.relay.stats().requests == 0


def test_a_key_goes_nowhere_that_nobody_has_agreed_to(vendors: TwoVendors) -> None:
    done = vendors.many(NBP_TRUST_TABLE="")
    assert done.exit_code != 0
    assert "has GOOGLE_SIDE_KEY sent to http://127.0.0.1" in done.output
    assert vendors.google.stats().requests == vendors.relay.stats().requests == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--endpoint", "google"), "--endpoint is for one endpoint"),
        (("--price", "1"), "--price is for one endpoint"),
        (("--header", "X-Team:art"), "--header is for one endpoint"),
        (("--via", "batch"), "held calls alone"),
    ],
)
def test_options_of_one_endpoint_are_refused(
    vendors: TwoVendors, words: tuple[str, ...], said: str
) -> None:
    done = vendors.many(*words)
    assert done.exit_code != 0
    assert said in " ".join(done.output.split())
    assert vendors.google.stats().requests == vendors.relay.stats().requests == 0


def test_a_route_needs_accounts(vendors: TwoVendors) -> None:
    done = vendors.nbp("many", str(vendors.prompts), "--out", "x", "--route", "fastest")
    assert done.exit_code != 0
    assert "--accounts FILE" in done.output


def test_the_file_has_what_an_account_has(tmp_path: Path) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text('[google]\n[relay]\nendpoint = "https://r.example/v1"\nrate = "60/min"\n')
    google, relay = read_accounts(file)
    assert google == Account("google", name="google")
    limits = Limits(rate="60/min")
    assert relay == Account("https://r.example/v1", name="relay", limits=limits)
    gen = Client.from_env(
        [google, Account("https://r.example/v1", "k-0123456789ab", name="relay")],
        environ={"GEMINI_API_KEY": "AQ.0123456789ab", "NBP_API_KEY": "sk-elsewhere"},
    )
    assert repr(gen).startswith("Client(google + relay")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no account"),
        ("rate = 3\n", "a table"),
        ("[google]\nkey = 'x'\n", "no line is called 'key': did you mean 'keys'"),
        ("[google]\nkeys = []\n", "names of environment variables"),
        ("[google]\nkeys = ['NOT_SET']\n", "NOT_SET is not set"),
        ("[relay]\nendpoint = 'https://r.example/v1'\nkeys = ['OPENAI_API_KEY']\n", "not sent to"),
        ("[google]\nrate = 'often'\n", r"\[google\]: rate='often'"),
        ("[google]\nmax_body = 1\n", "no line is called 'max_body'"),
    ],
)
def test_a_file_that_is_wrong_says_where(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_accounts(file, {"OPENAI_API_KEY": "sk-0123456789ab"})


def test_the_key_of_one_endpoint_goes_to_none_of_several() -> None:
    with pytest.raises(ConfigError, match="NBP_API_KEY goes to nobody"):
        Client.from_env([Account("google"), Account("apiyi")], environ={"NBP_API_KEY": "sk-12345"})
