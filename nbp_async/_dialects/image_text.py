"""Images in what a model says: written into its text as `data:` addresses, or linked there."""

import re
from typing import NamedTuple
from urllib.parse import urljoin

import msgspec

from nbp_async._dialects.base import Answer
from nbp_async._dialects.image_strings import image_numbers, without_images

_LINK = re.compile(
    r"(?P<shown>!\[[^\[\]]{0,300}\]\(\s{0,9}<?)?"  # Markdown's way to show an image
    r"(?P<link>https?://[^\s<>\"'()\[\]{}]*[^\s<>\"'()\[\]{}.,;:!?])"
)
_LINK_TO_IMAGE = re.compile(
    r"https?://[^/?#]+/[^?#]*\.(?:png|jpe?g|webp|avif|hei[cf]|gif|svg)(?:[?#]|\Z)", re.IGNORECASE
)
_EMPTY_IMAGE = re.compile(r"!\[[^\[\]]{0,300}\]\(\s{0,9}\)|<img\s[^<>]{0,300}>")


class TextContent(NamedTuple):
    """A text: the numbers of its images, its links to images, and its words without the images."""

    images: list[int]
    links: list[str]
    words: str


def read_text(text: str) -> TextContent:
    """The images in a text, as the scanner left it; see `image_strings`."""
    numbers = image_numbers(text)
    words = _EMPTY_IMAGE.sub("", without_images(text)).strip() if numbers else text
    return TextContent(numbers, links_in(words), words)


def links_in(words: str) -> list[str]:
    """The links that lead to an image: by their name, shown as an image, or alone in the text.

    Other links are what a model may mention: a source, or the rules that it follows.
    """
    alone = _LINK.fullmatch(words.strip())
    return [
        found["link"]
        for found in _LINK.finditer(words)
        if alone or found["shown"] or _LINK_TO_IMAGE.match(found["link"])
    ]


def likeliest_first(links: list[str]) -> tuple[str, ...]:
    """Each link once. A relay's image may have any address, but one with an image's name is more
    likely right."""
    links.sort(key=lambda link: _LINK_TO_IMAGE.match(link) is None)
    return tuple(dict.fromkeys(links))  # an image that is shown and linked is one image


def looks_like_link(text: str) -> bool:
    """It is an address, in full or relative to the endpoint's."""
    return text.startswith(("https://", "http://", "/")) and not any(c.isspace() for c in text)


def with_full_links(answer: Answer, endpoint: str) -> Answer:
    """The answer with its links in full: some relays send them relative to their own address."""
    if all("://" in link for link in answer.links):
        return answer
    return msgspec.structs.replace(
        answer, links=tuple(_in_full(link, endpoint) for link in answer.links)
    )


def _in_full(link: str, endpoint: str) -> str:
    try:
        return link if "://" in link else urljoin(endpoint, link)
    except ValueError:
        return link
