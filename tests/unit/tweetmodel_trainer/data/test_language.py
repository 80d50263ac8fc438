import pytest

from tweetmodel_trainer.data.language import detect_language


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("I climbed the stairs to count the ships and found that the fog was there, but it is not my fault.", "en"),
        (
            "Ich habe die Möwen gezählt und es ist nicht der Nebel, der mich stört, sondern das Warten auf den Tee.",
            "de",
        ),
        ("Le brouillard est là et je ne sais pas ce que les mouettes veulent, mais elles sont dans le phare.", "fr"),
        ("La niebla no es el problema, que las gaviotas se comen el pan y no lo puedo evitar por la mañana.", "es"),
        ("Я не знаю, что это было, но чайки и туман не за мной, а я так же на маяке.", "ru"),
        ("gull fog kettle lighthouse", None),
        ("霧がまた来た", None),
        ("\U0001f426\U0001f426", None),
        ("", None),
    ],
)
def test_language_is_detected_by_stop_words(text: str, code: str | None) -> None:
    assert detect_language([text]) == code


def test_mixed_languages_are_unclear() -> None:
    assert detect_language(["the fog and the gull is on it", "der Nebel kam und die Möwe sah den Tee"]) is None
