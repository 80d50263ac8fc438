"""The generated archive has the documented numbers, the format of X, reproducible bytes and an exact entropy.

The cleaning rule is implemented a second time, independently of the trainer, since the numbers of the archive check the
trainer's own cleaning.
"""

import hashlib
import importlib
import io
import json
import math
import random
import re
import statistics
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

HERE = Path(__file__).parents[3] / "examples" / "archive"


@pytest.fixture(scope="module", autouse=True)
def _on_the_path():
    """Make the modules of the example importable."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        yield


@pytest.fixture(scope="module")
def generate():
    return importlib.import_module("generate")


@pytest.fixture(scope="module")
def grammar():
    return importlib.import_module("grammar")


@pytest.fixture(scope="module")
def package(generate):
    return generate.archive(seed=1)


@pytest.fixture(scope="module")
def files(package):
    with zipfile.ZipFile(io.BytesIO(package)) as opened:
        return {name: opened.read(name).decode() for name in opened.namelist()}


@pytest.fixture(scope="module")
def tweets(files):
    return [item["tweet"] for item in value_of(files["data/tweets.js"], "window.YTD.tweets.part0 = ")]


@pytest.fixture(scope="module")
def kept(tweets):
    return [text for text in map(cleaned, own(tweets)) if plain_words(text) >= 3]


def value_of(script, opening):
    assert script.startswith(opening)
    return json.loads(script.removeprefix(opening))


def own(tweets):
    return [tweet["full_text"] for tweet in tweets if not tweet["full_text"].startswith("RT @")]


def cleaned(text):
    text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return " ".join(re.sub(r"https?:\S*", "", text).split())


def plain_words(text):
    return sum(not any(mark in word.lower() for mark in ("http", "@", "#")) for word in text.split())


# The numbers


def test_the_archive_has_the_documented_number_of_each_kind_of_post(tweets, kept):
    assert len(tweets) == 3249
    assert len(tweets) - len(own(tweets)) == 610
    assert len(own(tweets)) - len(kept) == 6
    assert len(kept) == 2633
    assert sum(map(len, kept)) > 40_000


def test_the_readme_has_the_present_numbers(grammar, package, kept):
    readme = (HERE / "README.md").read_text()
    numbers = (sum(map(len, kept)), len(set(kept)))
    means = (grammar.entropy_per_post(), grammar.mean_characters())
    for number in [f"{number:,}" for number in numbers] + [f"{mean:.2f}" for mean in means]:
        assert f"| {number} |" in readme


def test_posts_that_are_too_short_have_six_shapes(tweets):
    short = [text for text in own(tweets) if plain_words(cleaned(text)) < 3]
    shapes = {re.sub(r"\w+", "w", re.sub(r"https?:\S+", "link", text)) for text in short}
    assert len(shapes) == 6


def test_cleaned_posts_are_texts_of_the_grammar(grammar, kept):
    assert all(grammar.log_probability(text) > -math.inf for text in kept)


@pytest.mark.parametrize(
    "dirt",
    [r"\shttps://t\.co/\w+$", "&amp;", "&gt;", "  ", "\n", r"#\w", r"^@\w"],
    ids=["link", "ampersand", "greater-than", "spaces", "line-break", "hashtag", "mention"],
)
def test_posts_contain_each_kind_of_text_to_clean(tweets, dirt):
    long_enough = [text for text in own(tweets) if plain_words(cleaned(text)) >= 3]
    assert sum(bool(re.search(dirt, text)) for text in long_enough) > 50


# The same bytes


def test_the_command_writes_the_same_bytes_for_the_same_seed(generate, package, tmp_path, monkeypatch):
    out = tmp_path / "new" / "archive.zip"
    monkeypatch.setattr("sys.argv", ["generate.py", "--out", str(out), "--seed", "1"])
    generate.main()
    assert out.read_bytes() == package


def test_the_posts_are_the_same_on_every_machine(files):
    digest = hashlib.sha256(files["data/tweets.js"].encode()).hexdigest()
    assert digest == "5bc8c81ca35132d9c059ab4b01c628ed40a5a965b977943ebdeeec8630990730"


def test_another_seed_generates_other_posts(generate, tweets):
    assert generate.tweets(seed=2) != tweets


# X's format


def test_the_archive_has_the_files_of_an_export_from_x(files):
    scripts = ("account", "manifest", "profile", "tweets")
    assert set(files) == {"Your archive.html"} | {f"data/{name}.js" for name in scripts}
    [account] = value_of(files["data/account.js"], "window.YTD.account.part0 = ")
    manifest = value_of(files["data/manifest.js"], "window.__THAR_CONFIG = ")
    assert account["account"]["username"] == manifest["userInfo"]["userName"] == "lighthouse_ada"
    assert manifest["dataTypes"]["tweets"]["files"][0]["count"] == "3249"


def test_posts_are_ordered_newest_first_and_their_ids_contain_their_times(tweets):
    ids = [int(tweet["id_str"]) for tweet in tweets]
    assert ids == sorted(set(ids), reverse=True)
    for tweet in tweets:
        created_at = datetime.strptime(tweet["created_at"], "%a %b %d %H:%M:%S %z %Y")
        snowflake = (int(tweet["id"]) >> 22) / 1000 + 1_288_834_974.657
        assert created_at == datetime.fromtimestamp(snowflake, UTC).replace(microsecond=0)


def test_every_post_has_the_fields_of_an_export_from_x(tweets):
    fields = (
        "edit_info retweeted source entities display_text_range favorite_count id_str truncated "
        "retweet_count id created_at favorited full_text lang"
    )
    for tweet in tweets:
        assert set(fields.split()) <= set(tweet)
        assert tweet["display_text_range"] == ["0", str(len(tweet["full_text"]))]
        assert tweet["edit_info"]["initial"]["editTweetIds"] == [tweet["id"]]
        assert tweet["favorite_count"].isdigit()
        assert tweet["retweet_count"].isdigit()


def test_entities_have_the_indices_of_their_texts(tweets):
    for tweet in tweets:
        entities, text = tweet["entities"], tweet["full_text"]
        named = [("#" + tag["text"], tag["indices"]) for tag in entities["hashtags"]]
        named += [("@" + user["screen_name"], user["indices"]) for user in entities["user_mentions"]]
        named += [(link["url"], link["indices"]) for link in entities["urls"]]
        assert all(text[int(start) : int(end)] == name for name, (start, end) in named)
        assert len(named) == len(re.findall(r"[#@]\w|https:", text))


def test_a_post_that_begins_with_a_mention_is_a_reply(tweets):
    for tweet in tweets:
        mention = re.match(r"@(\w+)", tweet["full_text"])
        assert tweet.get("in_reply_to_screen_name") == (mention and mention[1])
        assert int(tweet.get("in_reply_to_status_id", 0)) < int(tweet["id"])


# The grammar's arithmetic


def expanded(stack):
    """Yield all expansions of the rest of a text whose first item is a letter; an empty rest has one."""
    if not stack:
        yield ()
        return
    (is_symbol, head), *rest = stack
    if not is_symbol:
        yield from [stack] if head else expanded(tuple(rest))
        return
    for way in importlib.import_module("grammar").choices(head):
        parts = tuple((bool(place % 2), part) for place, part in enumerate(way.parts))
        yield from expanded(parts + tuple(rest))


def after(state, letter):
    """Yield all expansions of the rest of a text after a letter."""
    for (_, head), *rest in filter(None, state):
        if head[0] == letter:
            yield from expanded(((False, head[1:]), *rest))


@pytest.mark.parametrize("symbol", ["post", "retweet"])
def test_the_grammar_is_unambiguous(symbol):
    """Prove by the subset construction that no text has two derivations.

    A state contains all possible remainders of a text after one prefix. With two derivations of a text, the remainders
    would be equal from some letter on (at the latest the empty remainders at the end), so a state would contain one
    remainder twice.
    """
    seen, to_see = set(), [list(expanded(((True, symbol),)))]
    while to_see:
        ways = to_see.pop()
        state = frozenset(ways)
        assert len(state) == len(ways)
        if state not in seen:
            seen.add(state)
            to_see += [list(after(state, letter)) for letter in {way[0][1][0] for way in state if way}]
    assert any(() in state for state in seen)


def test_entropy_and_mean_length_are_the_averages_of_many_samples(grammar):
    rng = random.Random(7)
    posts = [grammar.sample(rng) for _ in range(4000)]
    surprises = [-grammar.log_probability(post) for post in posts]
    for drawn, expected in (
        (surprises, grammar.entropy_per_post()),
        (list(map(len, posts)), grammar.mean_characters()),
    ):
        assert abs(statistics.mean(drawn) - expected) < 3 * statistics.stdev(drawn) / math.sqrt(len(drawn))


@pytest.mark.parametrize("symbol", ["tea", "flourish", "offence", "verdict"])
def test_probabilities_of_all_texts_sum_to_one(grammar, symbol):
    def texts(parts, place=0):
        if place == len(parts):
            return [""]
        heads = [t for way in grammar.choices(parts[place]) for t in texts(way.parts)] if place % 2 else [parts[place]]
        return [head + tail for head in heads for tail in texts(parts, place + 1)]

    written = [text for way in grammar.choices(symbol) for text in texts(way.parts)]
    assert sum(math.exp(grammar.log_probability(text, symbol)) for text in written) == pytest.approx(1)


@pytest.mark.parametrize(
    "change",
    [lambda text: text + " ", lambda text: text[:-1], lambda text: text.upper()],
    ids=["longer", "shorter", "upper-case"],
)
def test_a_text_outside_the_grammar_has_no_probability(grammar, change):
    assert grammar.log_probability(change(grammar.sample(random.Random(3)))) == -math.inf


def test_posts_have_an_allowed_length(grammar):
    def length(symbol, pick):
        return pick(
            sum(map(len, way.parts[::2])) + sum(length(part, pick) for part in way.parts[1::2])
            for way in grammar.choices(symbol)
        )

    assert length("post", min) >= 40
    assert length("post", max) <= 200
