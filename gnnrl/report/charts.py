"""Charts of a search and of a sweep, as SVG: scores and widths of plans, and accuracy against size."""

import base64
import io
from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np
from markupsafe import Markup
from PIL import Image

from gnnrl.report.axes import HEIGHT, WIDTH, Axes, spread, ticks
from gnnrl.report.elements import element, picture
from gnnrl.report.names import STAGES, metric_name, reward_name
from gnnrl.report.names import score as show_score
from gnnrl.report.record import Judged

_MOST_POINTS, _FEWEST_PLANS = 1500, 8


def draw_search(trials: Sequence[Judged], reward: str) -> Markup:
    """Draw all plans as points and the best so far as a line, against evaluations; nothing for a single plan."""
    if len(trials) < 2:
        return Markup("")
    scores = [trial.score for trial in trials]
    best = list(accumulate(scores, max))
    last = max(len(trials), 2)
    axes = Axes((1, last), score_range(scores), "plans judged", reward_name(reward), y_share=reward == "top1")
    step = -(-len(trials) // _MOST_POINTS)
    rises = {n for n, score in enumerate(scores, 1) if n == 1 or score > best[n - 2]}
    drawn = sorted(rises.union(range(1, len(trials) + 1, step)), key=lambda n: n in rises)
    points = [
        _point(axes, (n, scores[n - 1]), f"plan {n}: {show_score(scores[n - 1], reward)}", "rise" if n in rises else "")
        for n in drawn
    ]
    corners = [*sorted(rises), len(best)]
    path = "L".join(axes.stairs(corners, [best[n - 1] for n in corners]))
    line = element("path", d=f"M{path}", class_="best")
    numbers = sorted({1, *(int(tick) for tick in ticks(1, last) if tick >= 1 and tick == int(tick)), len(trials)})
    shown = [n for n in numbers if n in (1, len(trials)) or min(n - 1, len(trials) - n) > last / 10]
    label = f"{reward_name(reward)} of {len(trials)} plans; the best {show_score(max(scores), reward)}"
    return picture(
        WIDTH,
        HEIGHT,
        axes.draw(shown),
        *points[: -len(rises)],
        line,
        *points[-len(rises) :],
        label=label,
        class_="chart",
    )


def score_range(scores: Sequence[float]) -> tuple[float, float]:
    """Return what the axis shows: all scores except far outliers below, which are drawn at its foot."""
    high, low = max(scores), min(scores)
    quarter, half = np.quantile(scores, [0.1, 0.5])
    return spread(max(low, float(half - 4 * max(half - quarter, (high - half), 1e-12))), high)


def _point(axes: Axes, place: tuple[float, float], told: str, kind: str = "") -> Markup:
    """Draw a dot with a text under the pointer."""
    x, y = place
    return element("circle", element("title", told), cx=axes.x(x), cy=axes.y(y), r=2.6, class_=f"point {kind}".strip())


def draw_plans(trials: Sequence[Judged], dense: Sequence[int]) -> Markup:
    """Draw what every plan keeps: a row for each group, a column for each plan, from the worst to the best.

    The picture is a PNG whose opacity is the share that is kept, so it follows the colours of the page. It is empty
    for few plans, and for plans of other groups than `dense`, the largest widths.
    """
    if len(trials) < _FEWEST_PLANS or not dense or any(len(trial.widths) != len(dense) for trial in trials):
        return Markup("")
    ranked = sorted(trials, key=lambda trial: trial.score)
    shares = np.array([trial.widths for trial in ranked], np.float64).T / np.maximum(dense, 1)[:, None]
    alpha = np.round(255 * np.clip(shares, 0, 1)).astype(np.uint8)
    pixels = np.zeros((*alpha.shape, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = (38, 112, 176), alpha
    buffer = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(buffer, "PNG", optimize=True)
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    text = f"share kept in each of {len(dense)} groups by {len(trials)} plans"
    return Markup('<img class="heat" src="{}" alt="{}">').format(source, text)


def draw_curve(points: Sequence[tuple[float, Mapping[str, float]]], dense: float, metric: str, size: str) -> Markup:
    """Draw score against size: a line for each stage, named at its right end, and the dense network as a level.

    Args:
        points: size as a share of the dense network, and score by stage; at least one, all with the same stages.
    """
    ordered = sorted(points, key=lambda point: point[0])
    sizes = [share for share, _ in ordered]
    stages = [name for name in STAGES if name in ordered[0][1] and name not in ("dense", "pruned")]
    scores = [dense, *(told[name] for _, told in ordered for name in stages)]
    axes = Axes(
        spread(min(sizes), max(sizes)),
        spread(min(scores), max(scores)),
        f"{size}, share of the dense network",
        metric_name(metric),
        x_share=True,
        y_share=metric == "top1",
    )
    level = element("line", x1=axes.x(axes.x_range[0]), x2=WIDTH, y1=axes.y(dense), y2=axes.y(dense), class_="dense")
    drawn = [axes.draw(), level]
    for name in stages:
        last = name == stages[-1]
        places = [(share, told[name]) for share, told in ordered]
        path = "M" + "L".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in places)
        drawn.append(element("path", d=path, class_="best" if last else "before"))
        drawn += [
            _point(axes, (x, y), f"{STAGES[name]}: {show_score(y, metric)} at {x:.1%}", "rise" if last else "")
            for x, y in places
        ]
    label = f"{metric_name(metric)} of {len(points)} networks against {size}"
    return picture(WIDTH, HEIGHT, *drawn, label=label, class_="chart")
