"""Tests of the selection of model files."""

from tweetmodel_trainer.models.hub_model import is_model_file


def test_files_of_other_formats_are_not_downloaded() -> None:
    model = ["config.json", "model.safetensors", "model-00001-of-00002.safetensors", "tokenizer.json", "README.md"]
    model += ["merges.txt", "spiece.model"]
    others = ["pytorch_model.bin", "onnx/config.json", "consolidated.safetensors"]
    assert [name for name in model + others if is_model_file(name)] == model
