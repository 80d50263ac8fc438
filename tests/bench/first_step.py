"""A new training pod until its first optimizer step ends, with data set and model at hand.

All imports go through `learn`, so that the process imports the same modules as a pod.
"""

import os
import tempfile
from pathlib import Path

import generate as archive
from transformers import TrainerCallback

from tweetmodel_api.spec import BaseModelSource, ScratchModel, Training
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.training import learn


class ExitAtFirstStep(TrainerCallback):
    """Ends the process at the first optimizer step."""

    def on_step_end(self, *_: object, **__: object) -> None:
        os._exit(0)


def main() -> None:
    posts = [Post("ada", str(number), str(tweet["full_text"])) for number, tweet in enumerate(archive.tweets(1))]
    with tempfile.TemporaryDirectory() as folder:
        workdir, source = Path(folder), BaseModelSource(scratch=ScratchModel())
        model, tokenizer = learn.base_model.load(source, None, [post.text for post in posts], workdir)
        blocks = learn.Blocks(posts, tokenizer, 1, 64, 42)
        training = Training(epochs=1, global_batch_size=8, block_size=64)
        rest = workdir, None, lambda *_: None, Progress({}), (0, 100)
        learn.finetune(model, blocks, training, *rest, callbacks=[ExitAtFirstStep()])


if __name__ == "__main__":
    main()
