"""The report as a browser shows it: on a desktop and on a phone, light and dark. Skipped where there is no Chromium."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from gnnrl.report.live import read_progress, render_progress
from gnnrl.report.page import render
from gnnrl.report.sweep import Sweep, render_sweep
from tests.report.results import result
from tests.report.test_live import write_run
from tests.report.test_sweep import network

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium (apt-get install chromium)")

FRAME = '<iframe name="{name}" style="border:0;width:{width}px;height:900px" srcdoc="{page}"></iframe>'
PROBE = """<!doctype html>{frames}
<pre id="probe"></pre>
<script>onload = () => {{
  const seen = [...document.querySelectorAll("iframe")].map(frame => {{
    const inner = frame.contentWindow, body = inner.document.body;
    const wide = [...body.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > inner.innerWidth + 1);
    return {{name: frame.name, inner: inner.innerWidth, scroll: inner.document.documentElement.scrollWidth,
            wide: wide.map(e => e.tagName), text: body.innerText}};
  }});
  probe.textContent = JSON.stringify(seen);
}}</script>"""
"""Pages in frames of some width (windows have a least width), and what a script sees from outside."""


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


def views(tmp_path: Path) -> dict[str, tuple[str, str]]:
    """Every view, and words that a reader must see in it."""
    found = result()
    live = render_progress(read_progress(write_run(tmp_path / "net.run", plans=12)), "net")
    return {
        "report": (report(), "Accuracy by class"),
        "live": (live, "time left"),
        "sweep": (render_sweep(Sweep(points=(network(0.5), network(0.3)))), "share of the dense network"),
        "network": (found.network._repr_html_(), "MACs a channel"),
        "plan": (found.plan._repr_html_(), "channels"),
        "result": (found._repr_html_(), "parameters"),
    }


def test_a_browser_reads_every_view_and_it_fits_a_phone_and_a_desktop(tmp_path: Path) -> None:
    shown, widths = views(tmp_path), (360, 1280)
    pages = [(f"{name} {width}", width, page) for name, (page, _) in shown.items() for width in widths]
    frames = "".join(FRAME.format(name=name, width=width, page=html.escape(page)) for name, width, page in pages)
    dumped = browse(tmp_path, PROBE.format(frames=frames), "--dump-dom", width=1400)
    probe = re.search(r'<pre id="probe">(.*?)</pre>', dumped, re.DOTALL)

    assert probe is not None
    found = {view["name"]: view for view in json.loads(html.unescape(probe[1]))}
    for name, width, _ in pages:
        view = found[name]
        assert (view["inner"], view["scroll"], view["wide"]) == (width, width, []), name
        assert shown[name.split()[0]][1] in view["text"], name
    columns = "group\tkind\tbefore"
    assert (columns in found["report 1280"]["text"], columns in found["report 360"]["text"]) == (True, False)


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
