"""Amounts, spans and foreign text as people read them; the one place for it."""

from decimal import Decimal


def money(amount: Decimal) -> str:
    """US dollars: cents, and tenths of a cent where an amount is that small."""
    exact = amount < 1 and amount != amount.quantize(Decimal("0.01"))
    return f"${amount:,.3f}" if exact else f"${amount:,.2f}"


def billed(billing: str, amount: Decimal) -> str:
    """Who pays, and how much: `may have been billed: $0.134`."""
    words = {"no": "not billed", "maybe": "may have been billed", "yes": "billed"}[billing]
    return f"{words}: {money(amount)}" if amount and billing != "no" else words


def span(seconds: float) -> str:
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


def weight(size: int) -> str:
    """Bytes as `912 B`, `84 kB`, `6.1 MB` or `79.1 GB`."""
    if size < 1000:
        return f"{size} B"
    if size >= 999_950_000:
        return f"{size / 1e9:,.1f} GB"
    return f"{size / 1000:.0f} kB" if size < 999_500 else f"{size / 1e6:.1f} MB"


def printable(text: str, most: int = 300) -> str:
    """Text from outside, on one line and without what could steer a terminal."""
    clean = "".join(sign if sign.isprintable() else " " for sign in text[: 2 * most])
    clean = " ".join(clean.split())
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def plural(count: int, noun: str) -> str:
    """`1 image`, `2 images`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
