"""A picture of its own: with its style inside, for light and dark, outside of the page."""

from pathlib import Path

_STYLE = Path(__file__).parent / "style.css"


def alone(svg: str) -> str:
    """A picture of `bench.page.pictures` as a file or a notebook can show it."""
    head, rest = svg.split(">", 1)
    name = head.split(' id="')[1].split('"')[0]
    paper = '<rect width="100%" height="100%" style="fill:var(--paper)"/>'
    return f"{head}><style>{_style(name)}</style>{paper}{rest}"


def _style(name: str) -> str:
    """The page's style as far as it is about pictures, and for this one alone."""
    kept, inside = [], 0
    for line in _STYLE.read_text("utf-8").splitlines():
        if inside or line.startswith((":root", "svg", "@media (prefers")):
            inside += line.count("{") - line.count("}")
            kept.append(line.strip())
    return (
        "\n".join(kept)
        .replace(":root", "svg ")
        .replace("svg ", f"#{name} ")
        .replace(f"#{name}  {{", f"#{name} {{")
    )
