"""Amounts, durations and untrusted text as people read them."""

from decimal import Decimal


def format_dollars(amount: Decimal) -> str:
    """US dollars in cents; small amounts in tenths of a cent."""
    exact = amount < 1 and amount != amount.quantize(Decimal("0.01"))
    return f"${amount:,.3f}" if exact else f"${amount:,.2f}"


def describe_billing(billing: str, amount: Decimal) -> str:
    """Billing and dollars: `may have been billed: $0.134`."""
    words = {"no": "not billed", "maybe": "may have been billed", "yes": "billed"}[billing]
    return f"{words}: {format_dollars(amount)}" if amount and billing != "no" else words


def format_seconds(seconds: float) -> str:
    """Seconds as `5.6 s`, `41 s`, `2 m 47 s`, `5 h 33 m` or `6 d 23 h`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60} s"
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} m"
    hours = round(seconds / 3600)
    return f"{hours // 24:,} d {hours % 24} h"


def format_bytes(size: int) -> str:
    """Bytes as `912 B`, `84 kB`, `6.1 MB` or `79.1 GB`."""
    if size < 1000:
        return f"{size} B"
    if size >= 999_950_000:
        return f"{size / 1e9:,.1f} GB"
    return f"{size / 1000:.0f} kB" if size < 999_500 else f"{size / 1e6:.1f} MB"


def printable(text: str, most: int = 300) -> str:
    """Untrusted text on one line, without characters that control a terminal."""
    clean = "".join(char if char.isprintable() else " " for char in text[: 2 * most])
    clean = " ".join(clean.split())
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def plural(count: int, noun: str) -> str:
    """`1 image`, `2 images`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
