"""Applies the quickstart and follows it to its tweets, as a user would with kubectl.

`python examples/demo.py [--context kind-tweetmodel] [--namespace demo]`. It reads the TweetModel's status
and nothing else; whatever it shows is there for `kubectl get tm` too.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

HERE = Path(__file__).parent
QUICKSTART = HERE / "quickstart.yaml"
NAME = "quickstart"

Object = dict[str, Any]


class Kubectl:
    """kubectl in one context and namespace."""

    def __init__(self, context: str, namespace: str) -> None:
        self._command = ["kubectl", "--context", context, "--namespace", namespace]

    def run(self, *arguments: str) -> str:
        """Runs kubectl and returns what it prints; its own words end the demo where it fails."""
        result = subprocess.run([*self._command, *arguments], capture_output=True, text=True, check=False)
        if result.returncode:
            sys.exit(result.stderr.strip())
        return result.stdout

    def watch(self, kind: str, name: str) -> Iterator[Object]:
        """The object as it is, then again at every change."""
        command = [*self._command, "get", kind, name, "--watch", "--output", "json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                lines: list[str] = []
                for line in process.stdout or ():
                    lines.append(line)
                    if line == "}\n":  # kubectl writes one object after the other, each indented below its braces
                        yield json.loads("".join(lines))
                        lines = []
            finally:
                process.terminate()
        sys.exit(f"kubectl stopped watching {kind}/{name}")


def conditions(status: Object) -> dict[str, Object]:
    """Conditions by type."""
    return {condition["type"]: condition for condition in status.get("conditions", [])}


def follow(kubectl: Kubectl, console: Console) -> Object:
    """Shows stage, progress, loss and time left until the model is ready; returns its status."""
    columns = (
        TextColumn("{task.description:>11}"),
        BarColumn(40),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[numbers]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("Pending", total=100, numbers="")
        for found in kubectl.watch("tm", NAME):
            status: Object = found.get("status", {})
            seen = conditions(status)
            if status.get("observedGeneration") != found["metadata"]["generation"] or "Ready" not in seen:
                continue
            summary = status.get("summary", {})
            numbers = [f"{word} {summary[key]}" for word, key in (("loss", "loss"), ("left", "eta")) if key in summary]
            done = int(summary.get("progress", "0%").rstrip("%"))
            bar.update(task, description=seen["Ready"]["reason"], completed=done, numbers="  ".join(numbers))
            if seen["Ready"]["status"] == "True":
                return status
            if seen["Stalled"]["status"] == "True":
                bar.stop()
                sys.exit(f"{seen['Ready']['reason']}: {seen['Ready']['message']}")
    raise AssertionError("the watch ends only by leaving")


def show(status: Object, console: Console) -> None:
    """Prints tweets, evaluation and where everything lies."""
    tweets = "\n\n".join(status.get("samples", []))
    console.print(Panel(tweets, title="Tweets that nobody wrote", padding=(1, 2)))
    evaluation = status["model"]["evaluation"]
    table = Table(title="How well it predicts posts it has not seen")
    for column in ("", "before training", "after"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("loss (nats a token)", evaluation["lossBefore"], evaluation["loss"])
    table.add_row("perplexity", evaluation["perplexityBefore"], evaluation["perplexity"])
    console.print(table)
    console.print(conditions(status)["DataReady"]["message"])
    places = (
        ("Data set", status["dataset"]["uri"]),
        ("Model", status["model"]["uri"]),
        ("Page", status["model"]["page"]),
    )
    console.print("\n".join(f"{name:10}{uri}" for name, uri in places), soft_wrap=True)


def main() -> None:
    """Runs the demo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--context", default="kind-tweetmodel")
    parser.add_argument("--namespace", default="demo")
    parser.add_argument("--picture", metavar="FILE", help="also draw what was printed as an SVG")
    arguments = parser.parse_args()
    console = Console(highlight=False, record=bool(arguments.picture), width=110 if arguments.picture else None)
    kubectl = Kubectl(arguments.context, arguments.namespace)
    console.print(f"$ kubectl apply -f {QUICKSTART.relative_to(HERE.parent)}")
    console.print(kubectl.run("apply", "-f", str(QUICKSTART)), end="")
    show(follow(kubectl, console), console)
    console.print("\n$ kubectl get tm")
    console.print(kubectl.run("get", "tm"), end="", soft_wrap=True)
    if arguments.picture:
        console.save_svg(arguments.picture, title="make demo")


if __name__ == "__main__":
    main()
