from tweetmodel_trainer.data.counts import Counts, sum_counts


def test_first_and_last_time_do_not_depend_on_the_order() -> None:
    times = ("2021-01-01T00:00:00Z", "2019-05-01T00:00:00Z", "", "what", "2020-01-01T00:00:00Z")
    counts = Counts()
    for time in times:
        counts.add_kept("one more quiet day", time)
    assert (counts.first, counts.last) == ("2019-05-01T00:00:00Z", "2021-01-01T00:00:00Z")


def test_sum_has_all_numbers_and_the_outer_times() -> None:
    ada = Counts(downloaded=3, kept=2, first="2020-01-01T00:00:00Z", last="2021-01-01T00:00:00Z", budget_spent=True)
    bob = Counts(downloaded=4, kept=1, erased=3, first="2019-01-01T00:00:00Z", last="2019-01-01T00:00:00Z")
    total = sum_counts({"ada": ada, "bob": bob, "eve": Counts()})
    assert (total.downloaded, total.kept, total.erased, total.budget_spent) == (7, 3, 3, True)
    assert (total.first, total.last) == ("2019-01-01T00:00:00Z", "2021-01-01T00:00:00Z")
