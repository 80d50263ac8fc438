"""Tests of the preview image, with texts that the font supports and texts that it lacks."""

import io

import pytest
from PIL import Image

import hostile
from finished import finished_run
from tweetmodel_trainer.evaluation.sample import printable
from tweetmodel_trainer.presentation import preview_image
from tweetmodel_trainer.presentation.preview_image import render_preview, supported_text, wrap, wrap_evenly

FONT = preview_image._font(40)


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_the_image_is_small_and_a_function_of_the_run() -> None:
    content = render_preview(finished_run())
    assert opened(content).size == (1200, 630)
    assert opened(content).format == "PNG"
    assert len(content) < 200_000
    assert content == render_preview(finished_run())


@pytest.mark.parametrize("text", [*hostile.POSTS, "", "漢字だけ", "x"])
def test_any_text_has_an_image(text: str) -> None:
    assert opened(render_preview(finished_run(texts=[printable(text)]))).size == (1200, 630)


def test_characters_without_a_glyph_are_left_out() -> None:
    assert supported_text("gull \U0001fae8漢 flew") == "gull flew"
    assert supported_text("Ünïcode, Ελλάδα, привет, שלום, مرحبا ☕") == "Ünïcode, Ελλάδα, привет, שלום, مرحبا ☕"


def test_an_unsupported_tweet_is_skipped() -> None:
    assert render_preview(finished_run(texts=["漢字だけ", "fog"])) == render_preview(finished_run(texts=["fog"]))


def test_lines_fit_the_width_and_contain_the_whole_text() -> None:
    text = "a gull " * 30 + "w" * 200
    lines = wrap(text, FONT, 600)
    assert all(FONT.getlength(line) <= 600 for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_lines_have_similar_lengths() -> None:
    text = "Ships please go around the rock again today"
    lines = wrap_evenly(text, FONT, 800)
    assert len(lines) == len(wrap(text, FONT, 800)) == 2
    assert abs(FONT.getlength(lines[0]) - FONT.getlength(lines[1])) < 200


def test_right_to_left_text_is_aligned_right() -> None:
    def bright_pixels_at_left(text: str) -> float:
        image = opened(render_preview(finished_run(texts=[text]))).convert("L").crop((84, 200, 500, 480))
        return sum(value > 200 for value in image.get_flattened_data())

    assert bright_pixels_at_left("fog") > 0
    assert bright_pixels_at_left("שלום") == 0
