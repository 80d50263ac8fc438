"""Guesses the language of posts by their commonest little words; says nothing where it is not clear.

A wrong language in a model card is worse than none, so a language must make up a fair part of all words and be
well ahead of the next.
"""

import re
from collections import Counter
from collections.abc import Iterable

STOP_WORDS = {
    "de": "der die das und ist nicht ich ein eine zu mit auf für wir auch sich dem den von es",
    "en": "the and is of to it that for you was with this but not are have my be at just",
    "es": "el la los que de en y es no un una por con para se lo las del más pero",
    "fr": "le la les et est pas je un une que de des pour dans ce qui sur avec vous mais",
    "it": "il la che di e non un una per è sono con si mi del ma come più questo anche",
    "nl": "de het een en is niet ik van dat je op te met voor zijn maar ook er aan wat",
    "pt": "o a os que de em e é não um uma para com se por mais do da mas eu",
    "ru": "и в не на я что с это как а но по так он у из мы за же все",
    "tr": "bir ve bu da de için çok ne ben ama gibi daha var kadar o mi değil her sen en",
}

_SETS = {code: frozenset(words.split()) for code, words in STOP_WORDS.items()}
_WORD = re.compile(r"[^\W\d_]+")

MIN_SHARE = 0.12
MIN_LEAD = 1.4


def detect_language(texts: Iterable[str]) -> str | None:
    """ISO 639-1 of the texts' language, or None."""
    seen = Counter(word for text in texts for word in _WORD.findall(text.casefold()))
    if not seen:
        return None
    scores = {code: sum(seen[word] for word in words) / seen.total() for code, words in _SETS.items()}
    (code, first), (_, second) = sorted(scores.items(), key=lambda item: -item[1])[:2]
    return code if first >= MIN_SHARE and first >= MIN_LEAD * second else None
