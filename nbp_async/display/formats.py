"""Amounts, durations, sizes and untrusted text as people read them; options as they write them."""

from nbp_async._base.option_text import OptionWriter, as_keyword
from nbp_async._base.suggestions import suggest
from nbp_async._base.text import (
    describe_billing,
    format_bytes,
    format_dollars,
    format_seconds,
    plural,
    printable,
)

__all__ = [
    "OptionWriter",
    "as_keyword",
    "describe_billing",
    "format_bytes",
    "format_dollars",
    "format_seconds",
    "plural",
    "printable",
    "suggest",
]
