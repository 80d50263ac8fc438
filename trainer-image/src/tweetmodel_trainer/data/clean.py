"""Drops posts by the rules of huggingtweets and by the further rules of spec.cleaning.

The defaults reproduce the table in the notebook of huggingtweets: of 3,249 posts of an account, 610 retweets and 6
short posts are dropped, and 2,633 are kept (github.com/borisdayma/huggingtweets).
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TypeVar

from tweetmodel_api.spec import Cleaning
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.data.duplicates import SeenTexts, word_key
from tweetmodel_trainer.data.normalize import DEFAULT, normalization_steps, normalize, remove_invalid_characters
from tweetmodel_trainer.data.post import Post

T = TypeVar("T")

MIN_PLAIN_WORDS = 3
_NO_PLAIN_WORD = ("http", "@", "#")
_UNKNOWN_LANGUAGES = re.compile(r"(und|zxx|q\w\w)?$")
"""No code, and X's codes for posts without a language: too short, or only links or emoji."""


def is_retweet(text: str) -> bool:
    """Return whether an original text is a retweet."""
    return text.startswith("RT @")


def is_reply(post: Post) -> bool:
    """Return whether a post is a reply: by its source, or because the text begins with a mention."""
    return post.is_reply or post.text.startswith("@")


def is_erased(post: Post, ids: Collection[str], accounts: Collection[str]) -> bool:
    """Return whether a post has one of the ids, or an author among the accounts (handles in lower case)."""
    return post.id in ids or (bool(accounts) and is_written_by(post, accounts))


def is_written_by(post: Post, accounts: Collection[str]) -> bool:
    """Return whether the author of a post is among the accounts (handles in lower case)."""
    return (post.author or post.handle).lower() in accounts


def is_repeated_id(post: Post, seen: SeenTexts) -> bool:
    """Return whether a post of the same account and id came before. Row numbers are no ids."""
    return not post.is_numbered and seen.check_and_add(f"{post.handle}/{post.id}")


def is_other_language(language: str, kept: Sequence[str]) -> bool:
    """Return whether a language is known and not kept."""
    return language not in kept and not _UNKNOWN_LANGUAGES.match(language)


def mentions(text: str, pattern: re.Pattern[str]) -> bool:
    """Return whether a text contains a mention; `pattern` is the result of `mention_pattern`."""
    return "@" in text and bool(pattern.search(text))


def mention_pattern(handles: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern for mentions of these accounts: whole handles in any case."""
    return re.compile(rf"(?<!\w)@(?:{'|'.join(map(re.escape, handles))})(?!\w)", re.IGNORECASE | re.ASCII)


def is_short(text: str) -> bool:
    """Return whether a normalized text has fewer than three plain words; links, mentions and hashtags don't count."""
    text = text.lower()
    if not any(mark in text for mark in _NO_PLAIN_WORD):
        return len(text.split(None, MIN_PLAIN_WORDS - 1)) < MIN_PLAIN_WORDS
    plain = 0
    for word in text.split():
        plain += not any(mark in word for mark in _NO_PLAIN_WORD)
        if plain == MIN_PLAIN_WORDS:
            return False
    return True


Rules = list[tuple[str, Callable[[T], bool]]]
"""Rules for dropping a post, each with a field of `Counts` to increment."""


def clean_posts(
    posts: Iterable[Post], counts: Counts, cleaning: Cleaning = DEFAULT, handle: str | None = None
) -> Iterator[Post]:
    """Yield the kept posts with normalized texts.

    Args:
        posts: posts of a source.
        counts: updated for each post.
        cleaning: rules and normalization.
        handle: handle for the kept posts; by default they keep their own. A different author is kept in `author`.
    """
    steps, raw_rules, text_rules = normalization_steps(cleaning), _raw_rules(cleaning), _text_rules(cleaning)
    for post in posts:
        counts.downloaded += 1
        dropped_by = _first_match(raw_rules, post)
        if dropped_by is None:
            text = normalize(post.text, steps)
            dropped_by = _first_match(text_rules, text)
        if dropped_by is None:
            counts.add_kept(text, post.created)
            counts.unlabeled += bool(cleaning.languages) and post.language not in cleaning.languages
            kept, author = handle or post.handle, post.author or post.handle
            if author == kept or author.lower() == kept.lower():
                author = ""
            yield Post(kept, remove_invalid_characters(post.id), text, author=author)
        else:
            setattr(counts, dropped_by, getattr(counts, dropped_by) + 1)


def _first_match(rules: Rules[T], value: T) -> str | None:
    for name, matches in rules:
        if matches(value):
            return name
    return None


def _raw_rules(cleaning: Cleaning) -> Rules[Post]:
    """Return the rules for posts in their original form. Repeated ids are always dropped."""
    seen = SeenTexts()
    rules: Rules[Post] = [("duplicates", lambda post: is_repeated_id(post, seen))]
    if cleaning.erase:
        ids, accounts = cleaning.erased_posts, cleaning.erased_accounts
        rules.append(("erased", lambda post: is_erased(post, ids, accounts)))
    if "Retweets" in cleaning.drop:
        rules.append(("retweets", lambda post: is_retweet(post.text)))
    if "Replies" in cleaning.drop:
        rules.append(("replies", is_reply))
    if cleaning.exclude_accounts:
        excluded = frozenset(map(str.lower, cleaning.exclude_accounts))
        pattern = mention_pattern(cleaning.exclude_accounts)
        rules.append(("excluded", lambda post: is_written_by(post, excluded) or mentions(post.text, pattern)))
    if cleaning.languages:
        rules.append(("other_language", lambda post: is_other_language(post.language, cleaning.languages)))
    return rules


def _text_rules(cleaning: Cleaning) -> Rules[str]:
    """Return the rules for normalized texts."""
    rules: Rules[str] = []
    if "Short" in cleaning.drop:
        rules.append(("short", is_short))
    if "Duplicates" in cleaning.drop:
        rules.append(("duplicates", SeenTexts().check_and_add))
    if "NearDuplicates" in cleaning.drop:
        seen = SeenTexts()
        rules.append(("near_duplicates", lambda text: seen.check_and_add(word_key(text))))
    return rules
