"""Cleaning as huggingtweets did it, and what may be asked for beyond: each rule a function, here named by the spec.

The numbers it must reproduce are those of the account that huggingtweets shows in its notebook: of 3,249 posts
610 retweets and 6 short ones go, 2,633 stay (github.com/borisdayma/huggingtweets).
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

PLAIN_WORDS_NEEDED = 3
_MARKS = ("http", "@", "#")
_UNKNOWN_LANGUAGES = re.compile(r"(und|zxx|q\w\w)?$")
"""X's codes for posts of no language (too short, links or emoji alone), and no code."""


def is_retweet(text: str) -> bool:
    """Whether a post repeats somebody else's; asked of the raw text."""
    return text.startswith("RT @")


def is_reply(post: Post) -> bool:
    """Whether a post answers somebody else: its source says so, or it begins with a mention."""
    return post.is_reply or post.text.startswith("@")


def is_erased(post: Post, ids: Collection[str], accounts: Collection[str]) -> bool:
    """Whether a post is one of these, or written by one of these accounts, whose handles are in lower case."""
    return post.id in ids or (bool(accounts) and is_written_by(post, accounts))


def is_written_by(post: Post, accounts: Collection[str]) -> bool:
    """Whether one of these accounts, whose handles are in lower case, wrote a post."""
    return post.handle.lower() in accounts


def is_repeated_id(post: Post, seen: SeenTexts) -> bool:
    """Whether an account's post of this id came before; what has no id of its own is another one by its number."""
    return not post.is_numbered and seen.check_and_add(f"{post.handle}/{post.id}")


def is_other_language(language: str, kept: Sequence[str]) -> bool:
    """Whether a post is known to be in a language that is not kept."""
    return language not in kept and not _UNKNOWN_LANGUAGES.match(language)


def mentions(text: str, pattern: re.Pattern[str]) -> bool:
    """Whether a text names one of the accounts that the pattern is of."""
    return "@" in text and bool(pattern.search(text))


def mention_pattern(handles: Sequence[str]) -> re.Pattern[str]:
    """Finds mentions of these accounts: whole handles, whatever their case."""
    return re.compile(rf"(?<!\w)@(?:{'|'.join(map(re.escape, handles))})(?!\w)", re.IGNORECASE | re.ASCII)


def is_short(text: str) -> bool:
    """Whether a cleaned post has fewer than three plain words: no link, mention or hashtag."""
    text = text.lower()
    if not any(mark in text for mark in _MARKS):
        return len(text.split(None, PLAIN_WORDS_NEEDED - 1)) < PLAIN_WORDS_NEEDED
    plain = 0
    for word in text.split():
        plain += not any(mark in word for mark in _MARKS)
        if plain == PLAIN_WORDS_NEEDED:
            return False
    return True


Drops = list[tuple[str, Callable[[T], bool]]]
"""Rules that drop a post, by the count that they add to."""


def clean_posts(posts: Iterable[Post], counts: Counts, how: Cleaning = DEFAULT) -> Iterator[Post]:
    """The posts of an account that stay, cleaned; `counts` is brought up to date on the way."""
    rules, raw_drops, text_drops = normalization_steps(how), _raw_drops(how), _text_drops(how)
    for post in posts:
        counts.downloaded += 1
        dropped_as = _first(raw_drops, post)
        if dropped_as is None:
            text = normalize(post.text, rules)
            dropped_as = _first(text_drops, text)
        if dropped_as is None:
            counts.keep(text, post.created)
            counts.unlabeled += bool(how.languages) and post.language not in how.languages
            yield Post(post.handle, remove_invalid_characters(post.id), text)
        else:
            setattr(counts, dropped_as, getattr(counts, dropped_as) + 1)


def _first(drops: Drops[T], value: T) -> str | None:
    for name, drop in drops:
        if drop(value):
            return name
    return None


def _raw_drops(how: Cleaning) -> Drops[Post]:
    """Rules that ask the post as it was written; that it is another one than those before is always asked."""
    seen = SeenTexts()
    drops: Drops[Post] = [("duplicates", lambda post: is_repeated_id(post, seen))]
    if how.erase:
        ids, accounts = how.erased_posts, how.erased_accounts
        drops.append(("erased", lambda post: is_erased(post, ids, accounts)))
    if "Retweets" in how.drop:
        drops.append(("retweets", lambda post: is_retweet(post.text)))
    if "Replies" in how.drop:
        drops.append(("replies", is_reply))
    if how.exclude_accounts:
        barred, pattern = frozenset(map(str.lower, how.exclude_accounts)), mention_pattern(how.exclude_accounts)
        drops.append(("excluded", lambda post: is_written_by(post, barred) or mentions(post.text, pattern)))
    if how.languages:
        drops.append(("other_language", lambda post: is_other_language(post.language, how.languages)))
    return drops


def _text_drops(how: Cleaning) -> Drops[str]:
    """Rules that ask the cleaned text."""
    drops: Drops[str] = []
    if "Short" in how.drop:
        drops.append(("short", is_short))
    if "Duplicates" in how.drop:
        drops.append(("duplicates", SeenTexts().check_and_add))
    if "NearDuplicates" in how.drop:
        seen = SeenTexts()
        drops.append(("near_duplicates", lambda text: seen.check_and_add(word_key(text))))
    return drops
