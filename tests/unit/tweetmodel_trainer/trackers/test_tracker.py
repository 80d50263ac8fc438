"""Tests of the names of metrics in trackers."""

from tweetmodel_trainer.trackers.tracker import grouped


def test_metrics_have_the_names_of_the_integrations_of_transformers() -> None:
    metrics = {"loss": 4.0, "eval_loss": 3.0, "eval_loss_before": 5.0}
    assert grouped(metrics) == {"train/loss": 4.0, "eval/loss": 3.0, "eval/loss_before": 5.0}
