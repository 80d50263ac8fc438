from hypothesis import given
from hypothesis import strategies as st

from tweetmodel_trainer.sources.x_pages import Gap, Page, find_gaps, parse_pages


@given(st.sets(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=8))
def test_gaps_are_exactly_the_ids_without_a_page(ranges: set[tuple[int, int]]) -> None:
    pages = parse_pages([Page(low + length, low, length).name for low, length in ranges])
    covered = {id_ for low, length in ranges for id_ in range(low, low + length)}
    requested = [
        id_
        for gap in find_gaps(pages)
        for id_ in range(gap.since + 1 if gap.since is not None else 0, gap.until if gap.until is not None else 70)
    ]
    assert len(requested) == len(set(requested))
    assert set(requested) == set(range(70)) - covered


def test_other_objects_are_ignored() -> None:
    assert parse_pages(["9-3-5.jsonl", "note.txt", "20-9-1.jsonl"]) == [Page(20, 9, 1), Page(9, 3, 5)]
    assert find_gaps([Page(20, 9, 1), Page(9, 0, 5)]) == [Gap(None, 19)]
