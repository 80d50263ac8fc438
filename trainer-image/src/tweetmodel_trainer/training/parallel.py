"""Data-parallel training with one process per GPU of the pod, for the training loop only.

The main process of the pod has rank 0 and starts the workers. All processes compute gradients of their share of the
blocks of each optimizer step. Rank 0 alone handles SIGTERM, uploads checkpoints and reports progress. The processes
communicate over the loopback interface and find each other through a file, so they need no free port and no host name.
"""

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import ProcessException, spawn

from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure

logger = logging.getLogger(__name__)

WORKER_ERROR_TIMEOUT_SECONDS = 10
"""Seconds to wait for the error of an ended worker."""

MAX_WAIT = timedelta(days=1)
"""Maximum wait of a worker while rank 0 scores held-out posts or uploads a checkpoint, which may take longer than
PyTorch's limit of 30 minutes. The end of rank 0 ends the wait at once."""

_FLAG_GROUP: ContextVar[dist.ProcessGroup | None] = ContextVar("flag_group", default=None)
"""Process group of `all_reduce_any`. The default group keeps PyTorch's limit, by which NCCL detects a dead process."""


@contextmanager
def worker_group(size: int, run_worker: Callable[..., None], *arguments: object) -> Iterator[None]:
    """Run the body as rank 0 of a process group, and `run_worker(rank, *arguments)` in the other processes.

    Args:
        size: number of processes. With 1, no process is started.
        run_worker: module-level function; it must perform as many collective operations as the body.
        arguments: picklable arguments of `run_worker`.

    Raises:
        Failure: InternalError if a worker failed.
        torch.OutOfMemoryError: a worker exhausted its memory.
    """
    if size == 1:
        yield
        return
    rendezvous_file = Path(tempfile.mkdtemp()) / "rendezvous"
    main = _worker_main, (size, rendezvous_file, run_worker, arguments)
    workers = spawn(*main, nprocs=size - 1, join=False, daemon=True)  # type: ignore[no-untyped-call]
    try:
        with _join_group(0, size, rendezvous_file):
            yield
        while not workers.join():
            pass
    except ProcessException as exception:
        raise _worker_error(exception) from None
    except RuntimeError as error:  # PyTorch raises it if another process has ended, and in many other cases
        try:
            if not isinstance(error, torch.OutOfMemoryError):
                workers.join(timeout=WORKER_ERROR_TIMEOUT_SECONDS)
        except ProcessException as exception:
            raise _worker_error(exception) from None
        raise
    finally:
        for process in workers.processes:
            process.kill()
        shutil.rmtree(rendezvous_file.parent)


def all_reduce_any(*flags: bool) -> list[bool]:
    """Return for each flag whether it is set in any process; a collective operation of all processes."""
    group = _FLAG_GROUP.get()
    if group is None:
        return list(flags)
    votes = torch.tensor(flags, dtype=torch.uint8)
    dist.all_reduce(votes, dist.ReduceOp.MAX, group)
    return [bool(vote) for vote in votes]


def _worker_main(
    index: int, size: int, rendezvous_file: Path, run_worker: Callable[..., None], arguments: tuple[object, ...]
) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # rank 0 decides when to stop
    with _join_group(index + 1, size, rendezvous_file):
        run_worker(index + 1, *arguments)


@contextmanager
def _join_group(rank: int, size: int, rendezvous_file: Path) -> Iterator[None]:
    """Join the process group; environment variables inform `accelerate` about the group."""
    environment = dict(os.environ)
    group = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    os.environ |= {name: str(value) for name, value in group.items()}
    os.environ |= dict.fromkeys(("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"), "lo")
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(rank)
        backend = "cpu:gloo,cuda:nccl"
    try:
        dist.init_process_group(backend, init_method=f"file://{rendezvous_file}", rank=rank, world_size=size)
        flag_group = dist.new_group(backend="gloo", timeout=MAX_WAIT)
        assert isinstance(flag_group, dist.ProcessGroup)  # all processes are members
        _FLAG_GROUP.set(flag_group)
        yield
        dist.destroy_process_group()  # not after an error: the call may wait for a process that has ended
    finally:
        _FLAG_GROUP.set(None)
        os.environ.clear()
        os.environ |= environment


def _worker_error(exception: ProcessException) -> Exception:
    logger.error("%s", exception)
    if "OutOfMemoryError" in str(exception):
        return torch.OutOfMemoryError(str(exception))
    message = f"the process that trains on GPU {exception.error_index + 1} ended before the others: read the pod's log."
    return Failure(Reason.INTERNAL_ERROR, message)
