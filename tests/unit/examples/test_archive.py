"""The made-up archive keeps its promises: its numbers, X's format, the same bytes, an exact entropy.

The cleaning rule is written here a second time, independently of the trainer's, since the archive's numbers
are what the trainer's own cleaning is measured against.
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


def test_the_archive_holds_the_promised_number_of_each_kind_of_post(tweets, kept):
    assert len(tweets) == 3249
    assert len(tweets) - len(own(tweets)) == 610
    assert len(own(tweets)) - len(kept) == 6
    assert len(kept) == 2633
    assert sum(map(len, kept)) > 40_000


def test_the_readme_tells_the_true_numbers(grammar, package, kept):
    readme = (HERE / "README.md").read_text()
    numbers = (sum(map(len, kept)), len(set(kept)))
    means = (grammar.entropy_per_post(), grammar.mean_characters())
    for number in [f"{number:,}" for number in numbers] + [f"{mean:.2f}" for mean in means]:
        assert f"| {number} |" in readme


def test_posts_too_short_to_keep_come_in_six_shapes(tweets):
    short = [text for text in own(tweets) if plain_words(cleaned(text)) < 3]
    shapes = {re.sub(r"\w+", "w", re.sub(r"https?:\S+", "link", text)) for text in short}
    assert len(shapes) == 6


def test_what_cleaning_keeps_is_text_of_the_grammar(grammar, kept):
    assert all(grammar.log_probability(text) > -math.inf for text in kept)


@pytest.mark.parametrize("dirt", [r"\shttps://t\.co/\w+$", "&amp;", "&gt;", "  ", "\n", r"#\w", r"^@\w"])
def test_kept_posts_have_something_to_clean(tweets, dirt):
    long_enough = [text for text in own(tweets) if plain_words(cleaned(text)) >= 3]
    assert sum(bool(re.search(dirt, text)) for text in long_enough) > 50


# The same bytes


def test_the_command_writes_the_same_bytes_for_the_same_seed(generate, package, tmp_path, monkeypatch):
    out = tmp_path / "new" / "archive.zip"
    monkeypatch.setattr("sys.argv", ["generate.py", "--out", str(out), "--seed", "1"])
    generate.main()
    assert out.read_bytes() == package


def test_posts_are_the_same_on_every_machine(files):
    digest = hashlib.sha256(files["data/tweets.js"].encode()).hexdigest()
    assert digest == "5bc8c81ca35132d9c059ab4b01c628ed40a5a965b977943ebdeeec8630990730"


def test_another_seed_gives_other_posts(generate, tweets):
    assert generate.tweets(seed=2) != tweets


# X's format


def test_the_archive_has_the_files_of_a_real_one(files):
    scripts = ("account", "manifest", "profile", "tweets")
    assert set(files) == {"Your archive.html"} | {f"data/{name}.js" for name in scripts}
    [account] = value_of(files["data/account.js"], "window.YTD.account.part0 = ")
    manifest = value_of(files["data/manifest.js"], "window.__THAR_CONFIG = ")
    assert account["account"]["username"] == manifest["userInfo"]["userName"] == "lighthouse_ada"
    assert manifest["dataTypes"]["tweets"]["files"][0]["count"] == "3249"


def test_posts_come_newest_first_and_ids_tell_the_same_time(tweets):
    ids = [int(tweet["id_str"]) for tweet in tweets]
    assert ids == sorted(set(ids), reverse=True)
    for tweet in tweets:
        told = datetime.strptime(tweet["created_at"], "%a %b %d %H:%M:%S %z %Y")
        snowflake = (int(tweet["id"]) >> 22) / 1000 + 1_288_834_974.657
        assert told == datetime.fromtimestamp(snowflake, UTC).replace(microsecond=0)


def test_every_post_has_the_fields_x_exports(tweets):
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


def test_entities_point_at_what_they_name(tweets):
    for tweet in tweets:
        entities, text = tweet["entities"], tweet["full_text"]
        named = [("#" + tag["text"], tag["indices"]) for tag in entities["hashtags"]]
        named += [("@" + user["screen_name"], user["indices"]) for user in entities["user_mentions"]]
        named += [(link["url"], link["indices"]) for link in entities["urls"]]
        assert all(text[int(start) : int(end)] == name for name, (start, end) in named)
        assert len(named) == len(re.findall(r"[#@]\w|https:", text))


def test_a_post_that_opens_with_a_mention_is_a_reply(tweets):
    for tweet in tweets:
        mention = re.match(r"@(\w+)", tweet["full_text"])
        assert tweet.get("in_reply_to_screen_name") == (mention and mention[1])
        assert int(tweet.get("in_reply_to_status_id", 0)) < int(tweet["id"])


# The grammar's arithmetic


def expanded(stack):
    """Every way to go on with what is left to write, each opening with a letter (or nothing left)."""
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
    """Every way to go on once `letter` is written."""
    for (_, head), *rest in filter(None, state):
        if head[0] == letter:
            yield from expanded(((False, head[1:]), *rest))


@pytest.mark.parametrize("symbol", ["post", "retweet"])
def test_no_text_can_be_written_in_two_ways(symbol):
    """Proof by the subset construction.

    A state is all that may follow one beginning of a text. Were a text written in two ways, their remainders
    would be the same from some letter on (at the latest at the end, where nothing remains): a state would
    hold one remainder twice.
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


def test_entropy_and_mean_length_are_what_many_draws_average_to(grammar):
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


@pytest.mark.parametrize("change", [lambda text: text + " ", lambda text: text[:-1], lambda text: text.upper()])
def test_a_text_ada_never_writes_has_no_probability(grammar, change):
    assert grammar.log_probability(change(grammar.sample(random.Random(3)))) == -math.inf


def test_posts_are_neither_too_short_nor_too_long_for_x(grammar):
    def length(symbol, pick):
        return pick(
            sum(map(len, way.parts[::2])) + sum(length(part, pick) for part in way.parts[1::2])
            for way in grammar.choices(symbol)
        )

    assert length("post", min) >= 40
    assert length("post", max) <= 200
