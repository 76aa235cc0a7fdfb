"""Pages in a real browser: Chromium without a window, where there is one."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
needs_browser = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here to open the page in")

# Run in the page: what a look at it would tell. A text's colour is mixed with what is behind it,
# and the contrast is that of WCAG 2.
_LOOK = """
const rgb = text => text.match(/[\\d.]+/g).map(Number);
const light = c => c.slice(0, 3).map(v => v / 255)
  .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const contrast = (a, b) => {
  const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
  return (x + 0.05) / (y + 0.05);
};
const strength = e => e ? getComputedStyle(e).opacity * strength(e.parentElement) : 1;
const paper = e => {
  const c = rgb(getComputedStyle(e).backgroundColor);
  return c.length == 3 || c[3] == 1 || !e.parentElement ? c : paper(e.parentElement);
};
const seen = [];
for (const e of document.querySelectorAll('section *')) {
  if (![...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim())) continue;
  if (e.tagName == 'title') continue;
  const own = getComputedStyle(e), ink = rgb(e instanceof SVGElement ? own.fill : own.color);
  const back = paper(e.parentElement), a = strength(e);
  const mixed = ink.slice(0, 3).map((v, i) => v * a + back[i] * (1 - a));
  seen.push([e.textContent, contrast(mixed, back)]);
}
const root = document.documentElement;
const look = {
  texts: seen,
  too_wide: root.scrollWidth - root.clientWidth,
  pictures: [...document.images].map(i => i.complete && i.naturalWidth),
  bars: [...document.querySelectorAll('[role=progressbar]')].map(e => e.offsetHeight),
  scripts: document.querySelectorAll('section script').length,
};
document.title = JSON.stringify(look);
"""


def browse(page: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    """Open the page; what it complains about is in stderr, as CONSOLE."""
    return subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            f"--user-data-dir={page.parent}/chromium",
            *more,
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


def look_at(folder: Path, html: str, *, width: int) -> dict[str, Any]:
    """Show pieces of HTML as a notebook does, on light and on dark paper, and look at them.

    Returns:
        `texts` with their contrast to the paper, how many pixels are `too_wide`, the `pictures`
        that are shown by their width, the heights of `bars`, and how many `scripts` came in.
    """
    page = folder / "page.html"
    sections = "".join(
        f'<section style="background:{paper};color:{ink};padding:8px">{html}</section>'
        for paper, ink in (("#ffffff", "#212121"), ("#111111", "#d5d5d5"))
    )
    page.write_text(
        '<!doctype html><meta charset="utf-8"><body style="margin:0;font:14px sans-serif">'
        f"{sections}<script>onload = () => {{{_LOOK}}}</script>"
    )
    done = browse(page, f"--window-size={width},2000", "--dump-dom")
    assert "CONSOLE" not in done.stderr
    found = done.stdout.partition("<title>")[2].partition("</title>")[0]
    look: dict[str, Any] = json.loads(_plain(found))
    return look


def _plain(text: str) -> str:
    for sign, name in (("<", "&lt;"), (">", "&gt;"), ("&", "&amp;")):
        text = text.replace(name, sign)
    return text
