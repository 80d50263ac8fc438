"""A new training pod until its first optimizer step ends, with data set and model at hand.

`model_steps` is imported, so that the process imports the same modules as a pod.
"""

import os
import tempfile
from pathlib import Path

import generate as archive
from transformers import TrainerCallback

from tweetmodel_api.spec import BaseModelSource, ScratchModel, Training
from tweetmodel_trainer import model_steps  # noqa: F401  # imports the modules of a pod
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.models import base_model
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.training.blocks import BlockLayout, Blocks
from tweetmodel_trainer.training.fine_tuning import FineTuningConfig, fine_tune


class ExitAtFirstStep(TrainerCallback):
    """Ends the process at the first optimizer step."""

    def on_step_end(self, *_: object, **__: object) -> None:
        os._exit(0)


def main() -> None:
    posts = [Post("ada", str(number), str(tweet["full_text"])) for number, tweet in enumerate(archive.tweets(1))]
    with tempfile.TemporaryDirectory() as folder:
        workdir, source = Path(folder), BaseModelSource(scratch=ScratchModel())
        model, tokenizer = base_model.load(source, None, [post.text for post in posts], workdir)
        blocks = Blocks(posts, tokenizer, BlockLayout(1, 64, 42))
        training = Training(epochs=1, global_batch_size=8, block_size=64)
        config = FineTuningConfig(training, workdir, lambda *_: None, Progress({}), callbacks=[ExitAtFirstStep()])
        fine_tune(model, blocks, config)


if __name__ == "__main__":
    main()
