"""Renders the losses of a training as an SVG chart, without a plotting library or scripts.

The x axis shows optimizer steps, the y axis nats per token. A line shows the training loss, two large dots the held-out
loss before and after training, and small dots the held-out loss during training. The style sheet of the page defines
the colors.
"""

from collections.abc import Sequence

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 24, 30
"""Margins in pixels."""
HEADROOM = 1.05
"""Ratio of the top of the y axis to the highest loss."""
MAX_GRIDLINES = 7

Point = tuple[int, float]
"""Optimizer step and loss."""


def render_loss_chart(
    losses: Sequence[Point], before: float, after: Point, held_out_losses: Sequence[Point] = ()
) -> str:
    """Return the chart as SVG, which contains only numbers and fixed text.

    Args:
        losses: training losses.
        before: held-out loss before training.
        after: held-out loss after training, at the optimizer step of the final weights.
        held_out_losses: held-out losses during training.
    """
    points = [*losses, *held_out_losses, (0, before), after]
    last_step = max(step for step, _ in points)
    top = max(loss for _, loss in points) * HEADROOM or 1.0

    def position(step: float, loss: float) -> tuple[float, float]:
        x = LEFT + step / last_step * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - loss / top * (HEIGHT - TOP - BOTTOM)
        return round(x, 1), round(y, 1)

    (x0, y0), (x1, y1) = position(0, before), position(*after)
    anchor = "end" if x1 > WIDTH / 2 else "start"
    description = f"Loss by step: training as a line, held-out posts {before:.2f} before and {after[1]:.2f} after"
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{description}">',
        *(_gridline(loss, position(0, loss)[1]) for loss in gridlines(top)),
        _step_label(position(0, 0)[0], "start", "step 0"),
        _step_label(position(last_step, 0)[0], "end", f"{last_step:,}"),
        _line([position(*point) for point in losses]),
        *(_dot(*position(*point), radius=3) for point in held_out_losses),
        _dot(x0, y0, radius=5),
        _dot(x1, y1, radius=5),
        f'<text class="mark" x="{x0 + 12}" y="{y0 + 4}">{before:.2f} before</text>',
        f'<text class="mark" x="{x1}" y="{y1 - 14}" text-anchor="{anchor}">{after[1]:.2f} after</text></svg>',
    ]
    return "".join(parts)


def gridlines(top: float) -> list[float]:
    """Return one to seven round values from zero to at most `top`."""
    steps = (10.0**power * digit for power in range(-3, 99) for digit in (1, 2, 5))
    for step in steps:
        if top / step < MAX_GRIDLINES - 1:
            return [round(step * index, 6) for index in range(int(top / step) + 1)]
    raise ValueError(f"{top} exceeds all gridlines")


def _gridline(loss: float, y: float) -> str:
    return (
        f'<line class="level" x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}"/>'
        f'<text class="tick" x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{loss:g}</text>'
    )


def _step_label(x: float, anchor: str, text: str) -> str:
    return f'<text class="tick" x="{x}" y="{HEIGHT - 8}" text-anchor="{anchor}">{text}</text>'


def _line(points: Sequence[tuple[float, float]]) -> str:
    if len(points) < 2:
        return ""
    return f'<polyline class="line" points="{" ".join(f"{x},{y}" for x, y in points)}"/>'


def _dot(x: float, y: float, radius: int) -> str:
    return f'<circle class="dot" cx="{x}" cy="{y}" r="{radius}"/>'
