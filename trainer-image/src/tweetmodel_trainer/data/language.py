"""Detects the language of posts by the share of stop words; unclear cases have no result.

A wrong language in a model card is worse than none. So the stop words of the language must make up a fair share of all
words, clearly more than the stop words of any other language.
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

_STOP_WORD_SETS = {code: frozenset(words.split()) for code, words in STOP_WORDS.items()}
_WORD = re.compile(r"[^\W\d_]+")

MIN_SHARE = 0.12
"""Minimum share of stop words in all words."""
MIN_LEAD = 1.4
"""Minimum ratio of the share to the share of the second language."""


def detect_language(texts: Iterable[str]) -> str | None:
    """Return the ISO 639-1 code of the language of the texts, or None if unclear."""
    words = Counter(word for text in texts for word in _WORD.findall(text.casefold()))
    if not words:
        return None
    shares = {code: sum(words[w] for w in stop_words) / words.total() for code, stop_words in _STOP_WORD_SETS.items()}
    (code, share), (_, second) = sorted(shares.items(), key=lambda item: -item[1])[:2]
    is_clear = share >= MIN_SHARE and share >= MIN_LEAD * second
    return code if is_clear else None
