"""`python -m tweetmodel_trainer STEP --plan FILE` runs a step of a plan, in a pod or on a laptop.

SIGTERM is handled before the slow imports, since process 1 of a container has no default handler.
"""

import os
import sys

from tweetmodel_api.reasons import ExitCode
from tweetmodel_trainer import interrupt

if __name__ == "__main__":
    interrupt.on_termination(lambda: os._exit(ExitCode.INTERRUPTED))

    from tweetmodel_trainer.command import main

    sys.exit(main())
