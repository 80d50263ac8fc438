"""Applies the quickstart with kubectl, and shows its status until the tweets are there.

`python examples/demo.py [--context kind-tweetmodel] [--namespace demo]`. All information comes from the status of the
TweetModel, as for `kubectl get tm`.
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
    """kubectl with a context and a namespace."""

    def __init__(self, context: str, namespace: str) -> None:
        self._command = ["kubectl", "--context", context, "--namespace", namespace]

    def run(self, *arguments: str) -> str:
        """Run kubectl and return its output; exit with its error message if it fails."""
        result = subprocess.run([*self._command, *arguments], capture_output=True, text=True, check=False)
        if result.returncode:
            sys.exit(result.stderr.strip())
        return result.stdout

    def watch(self, kind: str, name: str) -> Iterator[Object]:
        """Yield the object, and again after every change."""
        command = [*self._command, "get", kind, name, "--watch", "--output", "json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                lines: list[str] = []
                for line in process.stdout or ():
                    lines.append(line)
                    if line == "}\n":  # kubectl prints one indented object after the other
                        yield json.loads("".join(lines))
                        lines = []
            finally:
                process.terminate()
        sys.exit(f"kubectl stopped watching {kind}/{name}")


def conditions(status: Object) -> dict[str, Object]:
    """Return the conditions by type."""
    return {condition["type"]: condition for condition in status.get("conditions", [])}


def follow(kubectl: Kubectl, console: Console) -> Object:
    """Show reason, progress, loss and remaining time until the model is ready, and return the status."""
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
    raise AssertionError("the watch never ends by itself")


def show(status: Object, console: Console) -> None:
    """Print tweets, evaluation and the URIs of the results."""
    tweets = "\n\n".join(status.get("samples", []))
    console.print(Panel(tweets, title="Generated tweets", padding=(1, 2)))
    evaluation = status["model"]["evaluation"]
    table = Table(title="Prediction of held-out posts")
    for column in ("", "before training", "after"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("loss (nats per token)", evaluation["lossBefore"], evaluation["loss"])
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
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--context", default="kind-tweetmodel")
    parser.add_argument("--namespace", default="demo")
    parser.add_argument("--picture", metavar="FILE", help="also write the output as an SVG")
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
