"""One process for each GPU of the pod, for the training loop alone (data parallel).

The pod's own process is the first and starts the others. They compute the gradients of their part of each step's
blocks and follow the first one in all else: it alone is told to stop, saves, publishes and reports. They speak over
the loopback device, and meet at a file, so no port and no name has to be free.
"""

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import ProcessException, spawn

from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure

logger = logging.getLogger(__name__)

SECONDS_TO_SAY_WHY = 10
"""That are waited for the error of a process that is gone."""


@contextmanager
def processes(count: int, follow: Callable[..., None], *arguments: object) -> Iterator[None]:
    """Within it this process is the first of `count`; the others do `follow(rank, *arguments)`.

    Args:
        count: of processes; with 1 nothing happens.
        follow: a function of a module, called in the other processes; it must do as many steps as the body.
        arguments: of `follow`, each of which can be pickled.

    Raises:
        Failure: InternalError, where another process failed.
        torch.OutOfMemoryError: where another process had too little memory.
    """
    if count == 1:
        yield
        return
    meeting = Path(tempfile.mkdtemp()) / "meeting"
    what = _other, (count, meeting, follow, arguments)
    others = spawn(*what, nprocs=count - 1, join=False, daemon=True)  # type: ignore[no-untyped-call]
    try:
        with _member(0, count, meeting):
            yield
        while not others.join():
            pass
    except ProcessException as failed:
        raise _failure_of(failed) from None
    except RuntimeError as error:  # what PyTorch raises here when another process is gone, among much else
        try:
            if not isinstance(error, torch.OutOfMemoryError):
                others.join(timeout=SECONDS_TO_SAY_WHY)
        except ProcessException as failed:
            raise _failure_of(failed) from None
        raise
    finally:
        for process in others.processes:
            process.kill()
        shutil.rmtree(meeting.parent)


def agree(*said: bool) -> list[bool]:
    """What any process says, in all of them once all have come here; alone it is what this one says."""
    if not dist.is_initialized():
        return list(said)
    votes = torch.tensor(said, dtype=torch.uint8)
    dist.all_reduce(votes, dist.ReduceOp.MAX)
    return [bool(vote) for vote in votes]


def _other(index: int, count: int, meeting: Path, follow: Callable[..., None], arguments: tuple[object, ...]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the first process says when to stop
    with _member(index + 1, count, meeting):
        follow(index + 1, *arguments)


@contextmanager
def _member(rank: int, count: int, meeting: Path) -> Iterator[None]:
    """Joins the processes that meet at a file; `accelerate` learns by the environment that there are some."""
    before = dict(os.environ)
    there = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    os.environ |= {name: str(value) for name, value in there.items()}
    os.environ |= dict.fromkeys(("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"), "lo")
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(rank)
        backend = "cpu:gloo,cuda:nccl"
    try:
        dist.init_process_group(backend, init_method=f"file://{meeting}", rank=rank, world_size=count)
        yield
        dist.destroy_process_group()  # not after an error: it may wait for a process that is gone
    finally:
        os.environ.clear()
        os.environ |= before


def _failure_of(failed: ProcessException) -> Exception:
    logger.error("%s", failed)
    if "OutOfMemoryError" in str(failed):
        return torch.OutOfMemoryError(str(failed))
    return Failure(
        Reason.INTERNAL_ERROR,
        f"the process that trains on GPU {failed.error_index + 1} ended before the others: read the pod's log.",
    )
