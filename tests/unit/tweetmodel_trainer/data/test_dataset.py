import hashlib
import json
import tempfile
import tracemalloc
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import Cleaning
from tweetmodel_trainer.data import dataset
from tweetmodel_trainer.data.clean import clean_posts
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.failure import Failure


def posts(count: int, handle: str = "ada") -> list[Post]:
    return [
        Post(handle, str(n), f"the gull has taken sandwich number {n} and will not give it back") for n in range(count)
    ]


def write(folder: Path, *many: list[Post], seed: int = 1) -> dataset.LocalDataset:
    counts: dict[str, Counts] = {}

    def stream():
        for some in many:
            yield from clean_posts(some, counts.setdefault(some[0].handle, Counts()))

    return dataset.write(stream(), counts, seed, folder)


def test_no_text_is_in_both_parts(tmp_path: Path) -> None:
    write(tmp_path, posts(300) + [post._replace(id=f"again {post.id}") for post in posts(300)])
    train, held_out = (dataset.read_posts(tmp_path / name) for name in (dataset.TRAIN, dataset.HELD_OUT))
    assert not {p.text for p in train} & {p.text for p in held_out}
    assert len(train) + len(held_out) == 600


def test_tenth_of_the_posts_is_held_out() -> None:
    share = len(held_out([f"post {n}" for n in range(10_000)], 1)) / 10_000
    assert 0.09 < share < 0.11


def test_held_out_post_stays_held_out_in_a_larger_data_set(tmp_path: Path) -> None:
    few, more = write(tmp_path / "few", posts(300)), write(tmp_path / "more", posts(400, "ada"))
    apart = [{post.text for post in dataset.read_posts(made.folder / dataset.HELD_OUT)} for made in (few, more)]
    assert apart[0] == {text for text in apart[1] if text in {post.text for post in posts(300)}}


def test_digest_depends_on_posts_and_seed(tmp_path: Path) -> None:
    one, two, other = (write(tmp_path / str(n), posts(300), seed=s) for n, s in enumerate((1, 1, 2)))
    assert one.digest == two.digest != other.digest


def test_info_matches_the_files(tmp_path: Path) -> None:
    made = write(tmp_path, posts(300), posts(200, "bob"))
    info = json.loads((tmp_path / dataset.INFO).read_text())
    assert info["digest"] == made.digest
    assert info["posts"]["heldOut"] == made.held_out == len(dataset.read_posts(tmp_path / dataset.HELD_OUT))
    assert info["sources"]["bob"]["kept"] == 200
    assert made.total.kept == 500


def test_too_little_text_is_rejected_with_the_counts(tmp_path: Path) -> None:
    with pytest.raises(Failure) as failure:
        write(tmp_path, [*posts(50), Post("ada", "x", "RT @b: no"), Post("ada", "y", "too short")])
    assert failure.value.reason is Reason.NOT_ENOUGH_TWEETS
    message = str(failure.value)
    assert "@ada has 3,140 characters in 50 kept posts (of 52: 1 retweets and 1 short posts dropped)" in message
    assert "6,000" in message


def test_each_account_needs_enough_text(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="@bob"):
        write(tmp_path, posts(1000), posts(10, "bob"))


def test_equal_posts_cannot_be_split(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="have the same text"):
        write(tmp_path, [posts(1)[0]._replace(id=str(n)) for n in range(200)])


def held_out(texts: list[str], seed: int) -> set[str]:
    places = {text: dataset.split_position(text, seed) for text in texts}
    below = dataset.split_threshold(min(places.values()), max(places.values()))
    return {text for text, where in places.items() if where < below}


@given(st.lists(st.text(max_size=5), min_size=2, unique=True), st.integers(0, 99))
def test_no_part_is_empty(texts: list[str], seed: int) -> None:
    texts = list({text.encode("utf-8", "ignore").decode() for text in texts} | {"one", "two"})
    assert 0 < len(held_out(texts, seed)) < len(texts)


def test_held_out_text_stays_held_out_with_more_texts() -> None:
    texts = [f"post {n}" for n in range(500)]
    assert held_out(texts[:250], 1) <= held_out(texts, 1)


@given(st.integers(0, 200), st.integers(2, 4))
def test_one_post_moves_to_an_empty_part(seed: int, count: int) -> None:
    long = [Post("ada", str(n), f"{n} " + "a very long post " * 400) for n in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        made = write(Path(folder), long, seed=seed)
        train, apart = (dataset.read_posts(Path(folder) / name) for name in (dataset.TRAIN, dataset.HELD_OUT))
        assert sorted(p.id for p in train + apart) == [p.id for p in long]
        assert {p.text for p in apart} == held_out([p.text.strip() for p in long], seed)
        assert made.held_out == len(apart) > 0 < len(train)
        assert [p.id for p in train] == sorted(p.id for p in train), "the order is kept"
        assert sorted(p.name for p in Path(folder).iterdir()) == [dataset.INFO, dataset.HELD_OUT, dataset.TRAIN]


@given(st.lists(st.text(), min_size=1))
def test_lines_equal_those_of_the_json_module(texts: list[str]) -> None:
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    with tempfile.TemporaryDirectory() as folder:
        many = [Post("ada", str(n), text) for n, text in enumerate([*texts, *(f"{n} filler" for n in range(900))])]
        dataset.write(iter(many), {"ada": Counts(characters=10_000)}, 1, Path(folder))
        lines = {}
        for name in (dataset.TRAIN, dataset.HELD_OUT):
            content = (Path(folder) / name).read_bytes()
            lines |= {json.loads(line)["id"]: line.decode() for line in content.splitlines(keepends=True)}
        for post in many:
            row = {"handle": post.handle, "id": post.id, "text": post.text}
            assert lines[post.id] == json.dumps(row, ensure_ascii=False) + "\n"


def test_info_records_sources_cleaning_and_software(tmp_path: Path) -> None:
    dated = [post._replace(created=f"2020-01-{n % 28 + 1:02d}T00:00:00Z") for n, post in enumerate(posts(300))]
    made = write(tmp_path, dated)
    info = json.loads((tmp_path / dataset.INFO).read_text())
    assert (info["sources"]["ada"]["first"], info["total"]["last"]) == ("2020-01-01T00:00:00Z", "2020-01-28T00:00:00Z")
    assert sum(part["posts"] for part in info["files"].values()) == 300
    assert sum(part["characters"] for part in info["files"].values()) == made.total.characters
    for name, part in info["files"].items():
        assert part["sha256"] == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert info["cleaning"]["drop"] == ["Retweets", "Short"]
    assert {"tweetmodel-trainer", "tweepy", "pyarrow", "huggingface-hub"} <= info["software"].keys()


def test_ten_million_posts_need_less_than_a_gibibyte(tmp_path: Path) -> None:
    """With every rule, and just after the tables doubled, when a post takes the most memory."""
    counts, number = {"ada": Counts()}, 45_000
    many = (Post("ada", str(n), f"the gull took sandwich number {n}") for n in range(number))
    how = Cleaning(drop=("Retweets", "Replies", "Short", "Duplicates", "NearDuplicates"))
    tracemalloc.start()
    dataset.write(clean_posts(many, counts["ada"], how), counts, 1, tmp_path, how)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert counts["ada"].kept == number
    assert peak / number * 10_000_000 < 2**30 * 0.85  # the rest is Python and its libraries


def test_id_with_invalid_unicode_is_written(tmp_path: Path) -> None:
    write(tmp_path, [Post("ada", "\ud800", "the first one has an id of its own"), *posts(200)])
    assert len(dataset.read_posts(tmp_path / dataset.TRAIN)) > 150


def test_limits_are_inclusive() -> None:
    dataset.require_enough_text({"ada": Counts(characters=6_000)})
    with pytest.raises(Failure):
        dataset.require_enough_text({"ada": Counts(characters=6_000), "bob": Counts(characters=5_999)})
    assert "@bob has fewer" in dataset.summary({"ada": Counts(characters=40_000), "bob": Counts(characters=39_999)})


def test_small_account_gets_a_warning() -> None:
    small, large = Counts(10, 0, 0, 10, 7_000), Counts(10, 0, 0, 10, 70_000)
    assert "@ada has fewer than 40,000" in dataset.summary({"ada": small, "bob": large})
    assert "fewer" not in dataset.summary({"bob": large})


def test_spent_budget_is_reported() -> None:
    spent, whole = (Counts(10, 0, 0, 10, characters, budget_spent=characters < 9_000) for characters in (5_000, 50_000))
    assert dataset.summary({"ada": spent, "bob": whole}).endswith(
        " The budget of @ada is spent: raise budgetUSD to read more posts."
    )
    assert "budget" not in dataset.summary({"bob": whole})
    assert dataset.sum_counts({"ada": spent, "bob": whole}).budget_spent is True
    with pytest.raises(Failure, match="The budget of @ada is spent"):
        dataset.require_enough_text({"bob": whole, "ada": spent})


def test_summary_of_the_maximum_of_sources_fits_a_report() -> None:
    many = {name: 10_000_000 for name, value in asdict(Counts()).items() if type(value) is int}
    count = Counts(**many | {"characters": 7_000}, budget_spent=True)
    assert len(dataset.summary({f"handle_number_{n:x}": count for n in range(16)})) <= 1024


def test_summary_lists_other_dropped_posts() -> None:
    count = Counts(20, 3, 2, 10, 70_000, replies=4, duplicates=1)
    assert "10 of 20 posts kept (3 retweets, 4 replies, 1 duplicates and 2 short posts dropped)" in dataset.summary(
        {"ada": count}
    )


def test_posts_without_a_language_are_counted(tmp_path: Path) -> None:
    many = [post._replace(language=("en", "", "und", "de")[n % 4]) for n, post in enumerate(posts(400))]
    for languages, unlabeled in ((), 0), (("en",), 200):
        counts, how = {"ada": Counts()}, Cleaning(languages=languages)
        dataset.write(clean_posts(many, counts["ada"], how), counts, 1, tmp_path, how)
        assert json.loads((tmp_path / dataset.INFO).read_text())["total"]["unlabeled"] == unlabeled
        assert ("300 of 400 posts kept, 200 of unknown language (" in dataset.summary(counts)) == bool(languages)


def test_new_posts_are_counted_by_distinct_texts(tmp_path: Path) -> None:
    baseline, later = write(tmp_path / "1", posts(300)), write(tmp_path / "2", [*posts(303), *posts(303, "bob")])
    assert dataset.count_new_posts(later.folder, baseline.folder) == 3
    assert dataset.count_new_posts(baseline.folder, later.folder) == 0
