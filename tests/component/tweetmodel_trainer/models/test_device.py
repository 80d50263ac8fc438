"""Tests of the selection of a device."""

import pytest
import torch

from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.models.device import out_of_gpu_memory_failure, select_device


@pytest.mark.parametrize(("available", "gpus", "device"), [(False, 0, "cpu"), (True, 0, "cuda"), (True, 2, "cuda")])
def test_a_usable_gpu_is_preferred(monkeypatch: pytest.MonkeyPatch, available: bool, gpus: int, device: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert select_device(gpus) == torch.device(device)


def test_exhausted_gpu_memory_becomes_a_failure_with_advice() -> None:
    message = "the GPU has too little memory: train less"
    with pytest.raises(Failure, match=message) as failure, out_of_gpu_memory_failure("train less"):
        raise torch.OutOfMemoryError
    assert failure.value.reason is Reason.OUT_OF_MEMORY
