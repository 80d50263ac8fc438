"""The preview picture: its size, and what it does with texts its font can't show."""

import io

import pytest
from PIL import Image

import hostile
from finished import about
from tweetmodel_trainer.evaluation.generate import printable
from tweetmodel_trainer.presentation import preview_image as picture
from tweetmodel_trainer.presentation.preview_image import balanced, shown, wrapped

FONT = picture._font(40)


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_the_picture_is_a_social_card_and_a_function_of_the_run() -> None:
    content = picture.picture(about())
    assert opened(content).size == (1200, 630)
    assert opened(content).format == "PNG"
    assert len(content) < 200_000
    assert content == picture.picture(about())


@pytest.mark.parametrize("text", [*hostile.POSTS, "", "漢字だけ", "x"])
def test_any_text_makes_a_picture(text: str) -> None:
    assert opened(picture.picture(about(texts=[printable(text)]))).size == (1200, 630)


def test_characters_that_the_font_lacks_are_left_out() -> None:
    assert shown("gull \U0001fae8漢 flew") == "gull flew"
    assert shown("Ünïcode, Ελλάδα, привет, שלום, مرحبا ☕") == "Ünïcode, Ελλάδα, привет, שלום, مرحبا ☕"


def test_a_tweet_that_can_not_be_shown_gives_way_to_the_next() -> None:
    assert picture.picture(about(texts=["漢字だけ", "fog"])) == picture.picture(about(texts=["fog"]))


def test_lines_fit_their_width_and_lose_nothing() -> None:
    text = "a gull " * 30 + "w" * 200
    lines = wrapped(text, FONT, 600)
    assert all(FONT.getlength(line) <= 600 for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_lines_are_evened_out() -> None:
    text = "Ships please go around the rock again today"
    lines = balanced(text, FONT, 800)
    assert len(lines) == len(wrapped(text, FONT, 800)) == 2
    assert abs(FONT.getlength(lines[0]) - FONT.getlength(lines[1])) < 200


def test_right_to_left_text_stands_at_the_right() -> None:
    def weight_at_left(text: str) -> float:
        image = opened(picture.picture(about(texts=[text]))).convert("L").crop((84, 200, 500, 480))
        return sum(value > 200 for value in image.get_flattened_data())

    assert weight_at_left("fog") > 0
    assert weight_at_left("שלום") == 0
