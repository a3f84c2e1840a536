"""The report as a browser shows it: on a desktop and on a phone, light and dark. Skipped where there is no Chromium."""

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from gnnrl.report.page import render
from tests.report.results import result

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium (apt-get install chromium)")

FRAME = """<!doctype html><iframe id="frame" style="border:0;width:{width}px;height:900px" srcdoc="{page}"></iframe>
<pre id="probe"></pre>
<script>frame.onload = () => {{
  const inner = frame.contentWindow, all = [...inner.document.querySelectorAll("main *")];
  const wide = all.filter(e => e.getBoundingClientRect().right > inner.innerWidth + 1);
  probe.textContent = [inner.innerWidth, inner.document.documentElement.scrollWidth, wide.length].join(" ")
    + " " + inner.document.body.innerText;
}}</script>"""
"""A page in a frame of some width (windows have a least width), and what a script sees from outside."""


def browse(tmp_path: Path, page: str, *arguments: str, width: int, dark: bool = False) -> str:
    """What a headless browser prints about a page."""
    path = tmp_path / "page.html"
    path.write_text(page)
    assert BROWSER is not None
    command = [
        BROWSER,
        *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"),
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={width},900",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        *arguments,
        path.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def report() -> str:
    facts = {"model": "a-network-with-a-rather-long-name", "latency_ms": {"dense": 2.0, "pruned": 1.0}, "threads": 1}
    return render(result().record({**facts, "commands": [["gnnrl", "evaluate", "somewhere/" * 12]]}), "out/" * 20)


@pytest.mark.parametrize("width", [360, 1280])
def test_a_browser_reads_the_page_and_it_fits(tmp_path: Path, width: int) -> None:
    frame = FRAME.format(width=width, page=html.escape(report()))
    shown = browse(tmp_path, frame, "--dump-dom", width=1400)
    probe = re.search(r'<pre id="probe">(\d+) (\d+) (\d+) (.*?)</pre>', shown, re.DOTALL)

    assert probe is not None
    assert [int(number) for number in probe.groups()[:3]] == [width, width, 0]
    assert "Accuracy by class" in probe[4]
    assert ("group	kind	before" in probe[4]) == (width > 480), "a phone shows fewer columns"


def test_a_page_follows_the_colours_of_the_system_and_runs_no_script(tmp_path: Path) -> None:
    page = report().replace("</body>", "<script>document.body.innerHTML = ''</script></body>")
    corners = []
    for dark in (False, True):
        picture = tmp_path / f"{dark}.png"
        browse(tmp_path, page, f"--screenshot={picture}", width=360, dark=dark)
        with Image.open(picture) as image:
            assert len(image.convert("RGB").getcolors(1 << 20) or []) > 20
            corners.append(image.convert("L").getpixel((2, 2)))

    assert corners[0] > 240
    assert corners[1] < 40
