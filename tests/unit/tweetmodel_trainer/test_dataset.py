import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweetmodel_api.reasons import Reason
from tweetmodel_trainer import dataset
from tweetmodel_trainer.clean import Counts, cleaned
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.post import Post


def posts(count: int, handle: str = "ada") -> list[Post]:
    return [
        Post(handle, str(n), f"the gull has taken sandwich number {n} and will not give it back") for n in range(count)
    ]


def write(folder: Path, *many: list[Post], seed: int = 1) -> dataset.Written:
    counts: dict[str, Counts] = {}

    def stream():
        for some in many:
            yield from cleaned(some, counts.setdefault(some[0].handle, Counts()))

    return dataset.write(stream(), counts, seed, folder)


def test_no_text_is_in_both_parts(tmp_path: Path) -> None:
    write(tmp_path, posts(300) + posts(300))
    train, held_out = (dataset.read(tmp_path / name) for name in (dataset.TRAIN, dataset.EVAL))
    assert not {p.text for p in train} & {p.text for p in held_out}
    assert len(train) + len(held_out) == 600


def test_a_tenth_is_held_out() -> None:
    share = sum(dataset.is_held_out(f"post {n}", 1) for n in range(10_000)) / 10_000
    assert 0.09 < share < 0.11


def test_a_post_that_is_held_out_stays_so_when_the_account_writes_more(tmp_path: Path) -> None:
    few, more = write(tmp_path / "few", posts(300)), write(tmp_path / "more", posts(400, "ada"))
    apart = [{post.text for post in dataset.read(made.folder / dataset.EVAL)} for made in (few, more)]
    assert apart[0] == {text for text in apart[1] if text in {post.text for post in posts(300)}}


def test_equal_posts_give_equal_digests_and_other_seeds_others(tmp_path: Path) -> None:
    one, two, other = (write(tmp_path / str(n), posts(300), seed=s) for n, s in enumerate((1, 1, 2)))
    assert one.digest == two.digest != other.digest


def test_the_files_hold_what_the_digest_says(tmp_path: Path) -> None:
    made = write(tmp_path, posts(300), posts(200, "bob"))
    info = json.loads((tmp_path / dataset.INFO).read_text())
    assert info["digest"] == made.digest
    assert info["posts"]["heldOut"] == made.held_out == len(dataset.read(tmp_path / dataset.EVAL))
    assert info["sources"]["bob"]["kept"] == 200
    assert made.total.kept == 500


def test_too_little_text_is_refused_with_the_numbers(tmp_path: Path) -> None:
    with pytest.raises(Failure) as failure:
        write(tmp_path, [*posts(50), Post("ada", "x", "RT @b: no"), Post("ada", "y", "too short")])
    assert failure.value.reason is Reason.NOT_ENOUGH_TWEETS
    sentence = str(failure.value)
    assert "@ada has 3,140 characters in 50 kept posts (of 52: 1 retweets and 1 short ones left out)" in sentence
    assert "6,000" in sentence


def test_each_account_must_have_enough_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="@bob"):
        write(tmp_path, posts(1000), posts(10, "bob"))


def test_posts_that_are_all_the_same_cannot_be_split(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="say the same"):
        write(tmp_path, [posts(1)[0]] * 200)


@given(st.lists(st.text(max_size=5), min_size=2, unique=True), st.integers(0, 99))
def test_no_part_is_left_empty_and_each_text_is_in_one(texts: list[str], seed: int) -> None:
    texts = list({text.encode("utf-8", "ignore").decode() for text in texts} | {"one", "two"})
    held_out = dataset.held_out_texts(texts, seed)
    assert 0 < len(held_out) < len(texts)
    assert held_out <= set(texts)


def test_a_text_once_held_out_stays_so_when_the_account_writes_more() -> None:
    texts = [f"post {n}" for n in range(500)]
    assert dataset.held_out_texts(texts[:250], 1) <= dataset.held_out_texts(texts, 1)


def test_an_id_that_is_no_unicode_is_written_all_the_same(tmp_path: Path) -> None:
    write(tmp_path, [Post("ada", "\ud800", "the first one has an id of its own"), *posts(200)])
    assert len(dataset.read(tmp_path / dataset.TRAIN)) > 150


def test_a_small_data_set_is_warned_of() -> None:
    small, large = Counts(10, 0, 0, 10, 7_000), Counts(10, 0, 0, 10, 70_000)
    assert "@ada has fewer than 40,000" in dataset.sentence({"ada": small, "bob": large})
    assert "fewer" not in dataset.sentence({"bob": large})
