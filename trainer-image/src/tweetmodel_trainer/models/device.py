"""Selection of a device for a model, support of precisions, and the failure when memory is exhausted."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_trainer.failure import Failure


def select_device(gpus: int) -> torch.device:
    """Return a GPU if CUDA can use any, else the CPU.

    A pod with GPUs does not fall back to the CPU, since a training on the CPU would occupy the GPUs for hours.

    Raises:
        Failure: GPUUnusable if CUDA can use fewer than `gpus` GPUs.
    """
    usable = torch.cuda.device_count() if torch.cuda.is_available() else 0  # device_count includes unusable GPUs
    if usable < gpus:
        advice = REASONS[Reason.GPU_UNUSABLE].advice
        advice = advice[0].lower() + advice[1:]
        raise Failure(Reason.GPU_UNUSABLE, f"CUDA can use {usable} GPUs (the pod requests {gpus}): {advice}")
    return torch.device("cuda" if usable else "cpu")


def supports_bfloat16() -> bool:
    """Return whether the device has instructions for bfloat16; emulated bfloat16 is slower than float32."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


@contextmanager
def out_of_gpu_memory_failure(advice: str) -> Iterator[None]:
    """Raise the Failure OutOfMemory with this advice if the body exhausts the memory of the GPU."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise Failure(Reason.OUT_OF_MEMORY, f"the GPU has too little memory: {advice}.") from None
