"""Low-rank adaptation (Hu et al. 2021): trains two small matrices beside each linear layer of a frozen model.

Gradients and optimizer states need memory for the small matrices only. The finished model has no adapters, since the
product of the matrices is added to the weights.
"""

from peft import LoraConfig, TaskType, get_peft_model
from transformers import PreTrainedModel

ALPHA_PER_RANK = 2
"""Usual ratio of LoRA's alpha to the rank, with which a learning rate suits all ranks."""


def attach(model: PreTrainedModel, rank: int) -> PreTrainedModel:
    """Freeze a model and add trainable matrices to all linear layers except the output layer."""
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=rank,
        lora_alpha=ALPHA_PER_RANK * rank,
        target_modules="all-linear",
        fan_in_fan_out=model.config.model_type == "gpt2",  # GPT-2 stores transposed weights
    )
    return get_peft_model(model, config)


def merge(model: PreTrainedModel) -> PreTrainedModel:
    """Add the products of the trained matrices to the weights, and return the model without adapters."""
    return model.merge_and_unload()
