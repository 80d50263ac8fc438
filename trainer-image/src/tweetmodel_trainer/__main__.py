"""`python -m tweetmodel_trainer collect|train|purge --plan FILE`: one stage of a plan, in a pod or on a laptop.

SIGTERM is caught before anything that takes time to import: process 1 of a container has no default for it.
"""

import os
import sys

from tweetmodel_api.reasons import ExitCode
from tweetmodel_trainer import interrupt

if __name__ == "__main__":
    interrupt.on_termination(lambda: os._exit(ExitCode.INTERRUPTED))

    from tweetmodel_trainer.command import main

    sys.exit(main())
