"""Draws predictions.png, the preview that a link to the model shows: one tweet, large, on 1200 × 630 pixels.

The font comes with the package (DejaVu Sans: Latin, Greek, Cyrillic, Hebrew, Arabic, symbols) and Pillow's Raqm
lays right-to-left text out. A character the font lacks, such as a new emoji, is left out; a tweet that loses
more than a tenth of its letters that way is passed over for the next.
"""

from bisect import bisect_right
from functools import cache
from importlib.resources import files
from io import BytesIO
from unicodedata import bidirectional

from PIL import Image, ImageDraw, ImageFont

from tweetmodel_trainer.evaluation.memorization import ranked
from tweetmodel_trainer.presentation.run_summary import About

SIZE = WIDTH, HEIGHT = 1200, 630
MARGIN = 84
TWEET_TOP = 144
TWEET_BOX = WIDTH - 2 * MARGIN, 340
LARGEST, SMALLEST = 64, 26
LEADING = 1.32
LEAST_SHOWN = 0.9
MOST_CHARACTERS = 400
"""A longer text is cut: it would not fit at the smallest size either."""

NIGHT, DAWN, PAPER, QUIET, ACCENT = (13, 18, 32), (38, 34, 74), (246, 244, 238), (160, 168, 190), (255, 176, 97)


def picture(about: About) -> bytes:
    """The PNG."""
    image = Image.new("RGB", SIZE)
    image.paste(_sky())
    draw = ImageDraw.Draw(image)
    draw.text((MARGIN - 6, 34), "“", font=_font(150), fill=ACCENT)
    tweets = [sample.text for sample in ranked(about.assessment.samples, len(about.assessment.samples))]
    _tweet(draw, next((shown(text[:MOST_CHARACTERS]) for text in tweets if _is_legible(text[:MOST_CHARACTERS])), "…"))
    draw.line((MARGIN, 516, MARGIN + 56, 516), fill=ACCENT, width=4)
    draw.text((MARGIN, 536), _cut(f"A model of {about.who}", _font(30), WIDTH - 2 * MARGIN), font=_font(30), fill=PAPER)
    draw.text((MARGIN, 580), "Made up by a machine", font=_font(21), fill=QUIET)
    buffer = BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def shown(text: str) -> str:
    """The text without the characters that the font lacks."""
    return " ".join("".join(c for c in text if c.isspace() or _has(c)).split())


def _is_legible(text: str) -> bool:
    solid = "".join(text.split())
    return bool(solid) and len("".join(shown(text).split())) >= LEAST_SHOWN * len(solid)


def _tweet(draw: ImageDraw.ImageDraw, text: str) -> None:
    """The text as large as its box allows, centred from top to bottom, right-to-left text at the right."""
    width, height = TWEET_BOX
    for size in range(LARGEST, SMALLEST - 1, -2):
        font, leading = _font(size), size * LEADING
        lines = wrapped(text, font, width)
        if len(lines) * leading <= height:
            break
    lines = balanced(text, font, width)[: int(height // leading)]
    at_right = _reads_right_to_left(text)
    top = TWEET_TOP + (height - len(lines) * leading) / 2
    for number, line in enumerate(lines):
        x, anchor = (WIDTH - MARGIN, "ra") if at_right else (MARGIN, "la")
        draw.text((x, top + number * leading), line, font=font, fill=PAPER, anchor=anchor)


def wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Lines of at most `width` pixels, broken at spaces and, in a word that fills a line, anywhere."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(joined) <= width:
            lines[-1] = joined
            continue
        rest = word
        while font.getlength(rest) > width:
            fitting = max(1, bisect_right(range(1, len(rest)), width, key=lambda n: font.getlength(rest[:n])))
            lines.append(rest[:fitting])
            rest = rest[fitting:]
        lines.append(rest)
    return lines


def balanced(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """The same number of lines, as even in length as spaces allow."""
    lines = wrapped(text, font, width)
    for narrower in range(width, width // 2, -10):
        tried = wrapped(text, font, narrower)
        if len(tried) > len(lines):
            break
        even = tried
    return even


def _cut(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    if font.getlength(text) <= width:
        return text
    while font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def _reads_right_to_left(text: str) -> bool:
    strong = (bidirectional(c) for c in text)
    return next((kind for kind in strong if kind in ("L", "R", "AL")), "L") != "L"


def _sky() -> Image.Image:
    """From night above to dawn below."""
    column = Image.new("RGB", (1, HEIGHT))
    for y in range(HEIGHT):
        share = (y / HEIGHT) ** 1.6
        column.putpixel((0, y), tuple(round(a + (b - a) * share) for a, b in zip(NIGHT, DAWN, strict=True)))
    return column.resize(SIZE)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    with (files("tweetmodel_trainer.presentation") / "fonts" / "DejaVuSans.ttf").open("rb") as file:
        return ImageFont.truetype(BytesIO(file.read()), size)


@cache
def _has(character: str) -> bool:
    """Whether the font draws this character as anything else than the box for what it lacks."""
    font, lacking = _font(40), "\U0010fffe"
    return bytes(font.getmask(character)) != bytes(font.getmask(lacking))
