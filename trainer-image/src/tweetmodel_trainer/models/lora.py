"""Low-rank adaptation (Hu et al. 2021): trains two small matrices beside each linear layer, then adds their
product to it. Optimizer and gradients need memory for those alone, and the finished model is one without adapters.
"""

from peft import LoraConfig, TaskType, get_peft_model
from transformers import PreTrainedModel

SCALE = 2
"""Alpha over rank, as is usual: the learning rate then fits whatever the rank."""


def attach(model: PreTrainedModel, rank: int) -> PreTrainedModel:
    """Freezes a model and puts trainable matrices beside its linear layers, but the one that predicts tokens."""
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=rank,
        lora_alpha=SCALE * rank,
        target_modules="all-linear",
        fan_in_fan_out=model.config.model_type == "gpt2",  # its layers are transposed
    )
    return get_peft_model(model, config)


def merge(model: PreTrainedModel) -> PreTrainedModel:
    """The model with what was learnt added to its weights."""
    return model.merge_and_unload()
