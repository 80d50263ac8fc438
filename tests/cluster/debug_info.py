"""Readable state of a namespace, for the report of a failed test."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import yaml
from kubectl import OPERATOR, OPERATOR_NAMESPACE, Kubectl, Object

MAX_STATUS_LINES = 60
MAX_EVENTS = 40
MAX_LOG_LINES = 20
MAX_OBJECTS = 12
"""Limit of objects of each kind: some tests have hundreds of TweetModels."""


def debug_info(namespace: str, operator_log: Path | None = None) -> str:
    """Return TweetModels, Jobs, pods, events and last log lines of a namespace, and the load of the machine.

    Args:
        namespace: namespace of the test.
        operator_log: log file of the operator; by default the log of the installed operator is read.
    """
    kubectl = Kubectl(namespace)
    sections: dict[str, Callable[[], Iterator[str]]] = {
        "Machine": _machine,
        "TweetModels": lambda: _objects(kubectl, "tm", _tweetmodel),
        "Jobs": lambda: _objects(kubectl, "jobs", _job),
        "Pods": lambda: _objects(kubectl, "pods", _pod),
        "Events": lambda: _events(kubectl),
        "Logs of the pods": lambda: _pod_logs(kubectl),
        "Log of the operator": lambda: _operator_log(namespace, operator_log),
    }
    return "\n".join(line for title, section in sections.items() for line in (f"{title}:", *_read(section)))


def _read(section: Callable[[], Iterator[str]]) -> list[str]:
    try:
        return [f"  {line}" for line in section()] or ["  none"]
    except (AssertionError, OSError, KeyError, ValueError) as error:  # the state must not hide why the test failed
        return [f"  can't be read: {error!r}"]


def _machine() -> Iterator[str]:
    with suppress(OSError):
        yield f"load average {Path('/proc/loadavg').read_text().strip()}"
        yield f"waits for a CPU: {Path('/proc/pressure/cpu').read_text().splitlines()[0]}"
        yield next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
    yield f"free disk space: {shutil.disk_usage('/').free >> 30} GiB"


def _objects(kubectl: Kubectl, kind: str, describe: Callable[[Object], Iterator[str]]) -> Iterator[str]:
    items = kubectl.get(kind)["items"]
    for item in items[-MAX_OBJECTS:]:
        yield from describe(item)
    if len(items) > MAX_OBJECTS:
        yield f"and {len(items) - MAX_OBJECTS} older ones"


def _tweetmodel(item: Object) -> Iterator[str]:
    metadata, status = item["metadata"], dict(item.get("status", {}))
    generation = f"generation {metadata['generation']}, observed {status.pop('observedGeneration', 'none')}"
    yield f"{metadata['name']}: {generation}, created {metadata['creationTimestamp']}{_deletion(metadata)}"
    for condition in status.pop("conditions", []):
        yield f"  {_condition(condition)}"
    lines = yaml.safe_dump(status, width=200, allow_unicode=True, sort_keys=False).splitlines()
    yield from (f"  {line}" for line in lines[:MAX_STATUS_LINES])


def _condition(condition: Object) -> str:
    text = f"{condition['type']}={condition['status']} {condition.get('reason', '')}: {condition.get('message', '')}"
    return f"{text} (since {condition.get('lastTransitionTime')})"


def _deletion(metadata: Object) -> str:
    if "deletionTimestamp" not in metadata:
        return ""
    return f", deleted {metadata['deletionTimestamp']}, finalizers {metadata.get('finalizers', [])}"


def _job(item: Object) -> Iterator[str]:
    metadata, status = item["metadata"], item.get("status", {})
    counts = {name: status.get(name, 0) for name in ("active", "ready", "succeeded", "failed", "terminating")}
    suspended = ", suspended" if item["spec"].get("suspend") else ""
    yield f"{metadata['name']}: created {metadata['creationTimestamp']}, {counts}{suspended}{_deletion(metadata)}"
    for condition in status.get("conditions", []):
        yield f"  {_condition(condition)}"


def _pod(item: Object) -> Iterator[str]:
    metadata, status = item["metadata"], item["status"]
    created = f"created {metadata['creationTimestamp']}{_deletion(metadata)}"
    yield f"{metadata['name']}: {status.get('phase')} on {item['spec'].get('nodeName', 'no node')}, {created}"
    for condition in status.get("conditions", []):
        yield f"  {_condition(condition)}"
    for container in status.get("containerStatuses", []):
        yield f"  container {container['name']}: {container['state']}"


def _events(kubectl: Kubectl) -> Iterator[str]:
    events = sorted(kubectl.get("events")["items"], key=_event_time)
    for event in events[-MAX_EVENTS:]:
        target = f"{event['involvedObject']['kind']}/{event['involvedObject'].get('name', '')}"
        yield f"{_event_time(event)} {event.get('reason')} {target}: {event.get('message', '').strip()}"


def _event_time(event: Object) -> str:
    times = (event.get("lastTimestamp"), event.get("eventTime"), event["metadata"]["creationTimestamp"])
    return next(time for time in times if time)


def _pod_logs(kubectl: Kubectl) -> Iterator[str]:
    for pod in kubectl.get("pods")["items"][-MAX_OBJECTS:]:
        name = pod["metadata"]["name"]
        yield f"{name}:"
        log = kubectl("logs", name, f"--tail={MAX_LOG_LINES}", "--timestamps", check=False)
        yield from (f"  {line}" for line in log.splitlines())


def _operator_log(namespace: str, file: Path | None) -> Iterator[str]:
    """Yield the last lines, of the installed operator only the lines about the namespace."""
    if file:
        yield from file.read_text().splitlines()[-MAX_LOG_LINES:]
        return
    log = Kubectl(OPERATOR_NAMESPACE)("logs", OPERATOR, "--tail=5000", "--timestamps").splitlines()
    yield from [line for line in log if namespace in line][-MAX_LOG_LINES:]
