"""Tests of the selection of the files of a split."""

import pytest

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import HubDataset
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources.hub_dataset import split_files


def files(*names: str, **options: str) -> list[str]:
    return split_files(names, HubDataset(dataset="ada/tweets", **options))


MAIN = {"revision": "main"}


@pytest.mark.parametrize(
    ("names", "options", "found"),
    [
        (["tweets.jsonl", "README.md"], {}, ["tweets.jsonl"]),
        (["tweets.jsonl"], {"config": "default"}, ["tweets.jsonl"]),
        (["tweets.csv", "metadata.json"], MAIN, ["tweets.csv"]),
        (["train.csv", "train_stats.json"], MAIN, ["train.csv"]),
        (["train.csv", "untrained.csv"], MAIN, ["train.csv"]),
        (
            ["data/train-0.parquet", "data/train-1.parquet", "data/test-0.parquet"],
            MAIN,
            ["data/train-0.parquet", "data/train-1.parquet"],
        ),
        (["train/train.csv", "train/other.csv", "test/a.csv"], MAIN, ["train/other.csv", "train/train.csv"]),
        (["train/2020/a.jsonl", "train/b.jsonl"], MAIN, ["train/2020/a.jsonl", "train/b.jsonl"]),
        (["en/train.parquet", "train.parquet"], MAIN, ["train.parquet"]),
        (["data/en/train.csv", "data/de/train.csv"], MAIN | {"config": "data/de"}, ["data/de/train.csv"]),
        (["en/train/0.parquet", "default/train/0.parquet"], {}, ["default/train/0.parquet"]),
        (["default/train/0.parquet", "default/train_2020/0.parquet"], {}, ["default/train/0.parquet"]),
        (["train-small/train/0.parquet", "train-small/test/0.parquet"], {}, ["train-small/train/0.parquet"]),
        (["train/train/0.parquet", "train/test/0.parquet"], {"split": "test"}, ["train/test/0.parquet"]),
        (["train/train/0.parquet", "train/test/0.parquet"], {}, ["train/train/0.parquet"]),
        (["en/train/0.parquet", "de/train/0.parquet"], {"config": "en"}, ["en/train/0.parquet"]),
        (["en/train/0.parquet", "de/test/0.parquet"], {}, ["en/train/0.parquet"]),
        (["default/partial-train/0.parquet"], {"split": "partial-train"}, ["default/partial-train/0.parquet"]),
    ],
)
def test_split_files_are_found_by_name(names: list[str], options: dict[str, str], found: list[str]) -> None:
    assert files(*names, **options) == found


@pytest.mark.parametrize(
    ("names", "options", "sentence"),
    [
        (
            ["a.jsonl", "b.jsonl"],
            MAIN,
            "has no file of the split train: correct huggingFace.split, config or revision.",
        ),
        (["en/train.csv", "de/train.csv"], MAIN, "has the split train in the configurations de, en: name one"),
        (["en/train/0.parquet", "de/partial-train/0.parquet"], {}, "in the configurations de, en: name one"),
        (["en/train.csv"], MAIN | {"config": "fr"}, "in the configurations en: name one in huggingFace.config."),
        (["tweets.csv"], {"config": "fr"}, "has no file of the split train: correct huggingFace.split, config or"),
        (["a/partial-train/0.parquet", "a/train_2020/0.parquet"], {}, "has only the beginning"),
        (["a/train_2020/0.parquet", "a/test/0.parquet"], {}, "has no file of the split train"),
        (["default/partial-train/0.parquet"], {}, "has only the beginning of the split train, because the Hub"),
        (["a/partial-train/0.parquet", "b/train/0.parquet"], {"config": "a"}, "has only the beginning"),
    ],
)
def test_ambiguous_or_missing_split_is_reported(names: list[str], options: dict[str, str], sentence: str) -> None:
    with pytest.raises(Failure, match=sentence) as failure:
        files(*names, **options)
    assert failure.value.reason is Reason.SOURCE_MISSING
