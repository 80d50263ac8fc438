"""Operators as processes that a test can kill, forked from a process that has imported all modules to start at once."""

import multiprocessing
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerProcess
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import kubernetes.aio.config.incluster_config
import kubernetes.aio.config.kube_config
import kubernetes.config.incluster_config
import kubernetes.config.kube_config

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["faults.operator_process", "tweetmodel_operator.main"])

START_TIME = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
"""Initial time of each operator's clock, so that schedules are due at the same times in each test."""


@dataclass
class OperatorProcess:
    """The operator of one namespace: at most one process, with a clock that a test can advance."""

    kubeconfig: Path
    log: Path
    settings: dict[str, str]
    pod_environment: dict[str, str] = field(default_factory=dict)
    """Variables of a pod for the API server; the ServiceAccount is then in the folder of the kubeconfig."""
    starts: int = 0
    _clock_offset: "Synchronized[float]" = field(default_factory=lambda: CONTEXT.Value("d", time.time()))
    _process: ForkServerProcess | None = None

    @property
    def alive(self) -> bool:
        """True if the process runs."""
        return self._process is not None and self._process.is_alive()

    def start(self) -> None:
        """Start a process; the last one must have ended."""
        assert not self.alive
        self.starts += 1
        environment = {f"TWEETMODEL_{name.upper()}": value for name, value in self.settings.items()}
        environment |= {"KUBECONFIG": str(self.kubeconfig)} | self.pod_environment
        arguments = (environment, self.log, self._clock_offset)
        self._process = CONTEXT.Process(target=_run, args=arguments, daemon=True)
        self._process.start()

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        if self._process:
            self._process.kill()
            self._process.join()

    def advance_clock(self, duration: timedelta) -> None:
        """Advance the operator's clock."""
        with self._clock_offset.get_lock():
            self._clock_offset.value -= duration.total_seconds()

    def use_cluster_time(self) -> None:
        """Set the operator's clock to the time of the cluster, from which it computes how long a Job has had no pod."""
        self.advance_clock(datetime.now(UTC) - START_TIME)


def _run(environment: dict[str, str], log: Path, clock_offset: "Synchronized[float]") -> None:
    from tweetmodel_operator import controller, main

    def now() -> datetime:
        return (START_TIME + timedelta(seconds=time.time() - clock_offset.value)).replace(microsecond=0)

    os.environ |= environment
    for module in (kubernetes.config.kube_config, kubernetes.aio.config.kube_config):
        module.KUBE_CONFIG_DEFAULT_LOCATION = environment["KUBECONFIG"]  # the modules read the variable at import
    for module in (kubernetes.config.incluster_config, kubernetes.aio.config.incluster_config):
        folder = Path(environment["KUBECONFIG"]).parent  # the folder of real pods may exist on this machine
        module.SERVICE_TOKEN_FILENAME, module.SERVICE_CERT_FILENAME = str(folder / "token"), str(folder / "ca.crt")
    with log.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    controller._now = now
    main.run()
