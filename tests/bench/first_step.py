"""What a new training pod does until its first step has ended, its data set and model being there.

It is all done by way of `learn`, so that it imports what a pod does.
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


class Enough(TrainerCallback):
    """Ends the process at the first step."""

    def on_step_end(self, *_: object, **__: object) -> None:
        os._exit(0)


def main() -> None:
    posts = [Post("ada", str(number), str(tweet["full_text"])) for number, tweet in enumerate(archive.tweets(1))]
    with tempfile.TemporaryDirectory() as folder:
        workdir, source = Path(folder), BaseModelSource(scratch=ScratchModel())
        model, tokenizer = learn.base_model.load(source, None, [post.text for post in posts], workdir)
        blocks = learn.Blocks(posts, tokenizer, 1, 64, 42)
        training = Training(epochs=1, global_batch_size=8, block_size=64)
        how = workdir, None, lambda *_: None, Progress({}), (0, 100)
        learn.finetune(model, blocks, training, *how, callbacks=[Enough()])


if __name__ == "__main__":
    main()
