"""Operators as processes that a test may kill: forked from one that has imported everything, so they start at once."""

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

BEGINNING = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
"""What the clock of each test's operator says at first, so that schedules are due at the same times."""


@dataclass
class Process:
    """The operator of one namespace: always at most one, with a clock that a test may put forward."""

    kubeconfig: Path
    log: Path
    settings: dict[str, str]
    in_pod: dict[str, str] = field(default_factory=dict)
    """Variables by which a pod finds the API server; its service account is then in the folder of the kubeconfig."""
    starts: int = 0
    _clock: "Synchronized[float]" = field(default_factory=lambda: CONTEXT.Value("d", time.time()))
    _running: ForkServerProcess | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._running is not None and self._running.is_alive()

    def start(self) -> None:
        """Starts it; the one before must have ended."""
        assert not self.alive
        self.starts += 1
        environment = {f"TWEETMODEL_{name.upper()}": value for name, value in self.settings.items()}
        environment |= {"KUBECONFIG": str(self.kubeconfig)} | self.in_pod
        arguments = (environment, self.log, self._clock)
        self._running = CONTEXT.Process(target=_run, args=arguments, daemon=True)
        self._running.start()

    def kill(self) -> None:
        """SIGKILL: it can do nothing more."""
        if self._running:
            self._running.kill()
            self._running.join()

    def pass_time(self, span: timedelta) -> None:
        """Puts its clock forward."""
        with self._clock.get_lock():
            self._clock.value -= span.total_seconds()

    def goes_with_the_cluster(self) -> None:
        """Puts its clock to the cluster's, which tells how long a Job has had no pod."""
        self.pass_time(datetime.now(UTC) - BEGINNING)


def _run(environment: dict[str, str], log: Path, clock: "Synchronized[float]") -> None:
    from tweetmodel_operator import controller, main

    def now() -> datetime:
        return (BEGINNING + timedelta(seconds=time.time() - clock.value)).replace(microsecond=0)

    os.environ |= environment
    for module in (kubernetes.config.kube_config, kubernetes.aio.config.kube_config):
        module.KUBE_CONFIG_DEFAULT_LOCATION = environment["KUBECONFIG"]  # read when they were imported
    for module in (kubernetes.config.incluster_config, kubernetes.aio.config.incluster_config):
        folder = Path(environment["KUBECONFIG"]).parent  # where a pod has them is the whole machine's
        module.SERVICE_TOKEN_FILENAME, module.SERVICE_CERT_FILENAME = str(folder / "token"), str(folder / "ca.crt")
    with log.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    controller._now = now
    main.run()
