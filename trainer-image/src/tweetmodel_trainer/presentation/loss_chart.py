"""Draws a loss curve as SVG for a page's own style sheet: no plotting library, no script, colours by class.

Steps go across, nats a token up. The training loss is a line; the held-out loss before and after is two dots, and what
was measured of it on the way are smaller ones.
"""

from collections.abc import Sequence

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 24, 30

Point = tuple[int, float]
"""Step and loss."""


def curve(losses: Sequence[Point], before: float, after: Point, between: Sequence[Point] = ()) -> str:
    """The SVG; all but `losses` are held-out losses, `after` at the step of the weights that were kept.

    Nothing of it comes from a text.
    """
    told = [*losses, *between, (0, before), after]
    last, highest = max(step for step, _ in told), max(loss for _, loss in told) * 1.05 or 1.0

    def place(step: float, loss: float) -> tuple[float, float]:
        across = LEFT + step / last * (WIDTH - LEFT - RIGHT)
        return round(across, 1), round(HEIGHT - BOTTOM - loss / highest * (HEIGHT - TOP - BOTTOM), 1)

    line = " ".join(f"{x},{y}" for x, y in (place(*point) for point in losses))
    small = "".join(f'<circle class="dot" cx="{x}" cy="{y}" r="3"/>' for x, y in (place(*point) for point in between))
    (x0, y0), (x1, y1) = place(0, before), place(*after)
    anchor_of_after = "end" if x1 > WIDTH / 2 else "start"
    return (
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Loss by step: training as a line, '
        f'held-out posts {before:.2f} before and {after[1]:.2f} after">'
        + "".join(_level(value, place(0, value)[1]) for value in levels(highest))
        + "".join(
            f'<text class="tick" x="{place(step, 0)[0]}" y="{HEIGHT - 8}" text-anchor="{anchor}">{text}</text>'
            for step, anchor, text in ((0, "start", "step 0"), (last, "end", f"{last:,}"))
        )
        + (f'<polyline class="line" points="{line}"/>' if len(losses) > 1 else "")
        + small
        + f'<circle class="dot" cx="{x0}" cy="{y0}" r="5"/><circle class="dot" cx="{x1}" cy="{y1}" r="5"/>'
        f'<text class="mark" x="{x0 + 12}" y="{y0 + 4}">{before:.2f} before</text>'
        f'<text class="mark" x="{x1}" y="{y1 - 14}" text-anchor="{anchor_of_after}">{after[1]:.2f} after</text></svg>'
    )


def levels(highest: float) -> list[float]:
    """Three to seven round values from zero to below the highest."""
    for step in (10.0**power * digit for power in range(-3, 99) for digit in (1, 2, 5)):
        if highest / step < 6:
            return [round(step * index, 6) for index in range(int(highest / step) + 1)]
    raise ValueError(f"no level fits {highest}")


def _level(value: float, y: float) -> str:
    return (
        f'<line class="level" x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}"/>'
        f'<text class="tick" x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{value:g}</text>'
    )
