"""`python -m tweetmodel_trainer collect|train --plan FILE`: one stage of a plan, in a pod or on a laptop.

SIGTERM is caught before anything that takes time to import: process 1 of a container has no default for it.
"""

import sys

from tweetmodel_api.reasons import ExitCode
from tweetmodel_trainer import interrupt

if __name__ == "__main__":
    with interrupt.on_termination():
        try:
            from tweetmodel_trainer.command import main

            sys.exit(main())
        except interrupt.Interrupted:
            sys.exit(ExitCode.INTERRUPTED)
