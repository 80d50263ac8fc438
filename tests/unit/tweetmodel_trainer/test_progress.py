from tweetmodel_trainer.progress import Progress


def test_nothing_is_sent_without_a_server() -> None:
    Progress({}).report(50)
