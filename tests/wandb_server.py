"""A server with the part of W&B's API that the client needs to create, resume and finish runs.

server = Server()          # listens at server.url until server.stop()
server.runs["default-ada-…"].history      # rows in the order of arrival
server.inputs, server.outputs             # pairs of run and artifact
server.references("default-ada-model")    # URIs in an artifact
"""

import gzip
import json
import re
from dataclasses import dataclass, field
from typing import Any

from http_server import QuietHandler, QuietServer

PROJECT = {"id": "project", "internalId": "project", "name": "tweetmodel", "entity": {"id": "entity", "name": "us"}}


@dataclass
class Run:
    """A run as the client described it."""

    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    starts: int = 0
    """How often a client created or resumed the run."""


class Server:
    """Keeps runs and artifacts in memory."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.inputs: set[tuple[str, str]] = set()
        self.outputs: set[tuple[str, str]] = set()
        self.files: dict[str, bytes] = {}
        self.error_status = 0
        self._artifacts: dict[str, dict[str, Any]] = {}
        outer = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                content = json.dumps(outer.answer(self.path, body)).encode()
                self.respond(outer.error_status or 200, content, {"Content-Type": "application/json"})

            do_PUT = do_GET = do_POST

        self._server = QuietServer(Handler).__enter__()
        self.url = self._server.url

    def stop(self) -> None:
        self._server.__exit__()

    def answer(self, path: str, body: bytes) -> object:
        if self.error_status:
            return {"errors": [{"message": "no"}]}
        if path == "/graphql":
            request = json.loads(body)
            name = re.search(r"(?:query|mutation)\s+(\w+)", request["query"])[1]
            return {"data": getattr(self, name, lambda **_: {})(**(request.get("variables") or {}))}
        if path.endswith("/file_stream"):
            self._stream(path.split("/")[-2], json.loads(body).get("files", {}))
        elif path.startswith("/upload/"):
            self.files[path.removeprefix("/upload/")] = body
        return {}

    def _stream(self, run: str, files: dict[str, Any]) -> None:
        for line in files.get("wandb-history.jsonl", {}).get("content", []):
            self.runs[run].history.append(json.loads(line))
        for line in files.get("wandb-summary.json", {}).get("content", []):
            self.runs[run].summary |= json.loads(line)

    def references(self, artifact: str) -> list[str]:
        manifest = json.loads(self.files[f"{artifact}/manifest"])
        return [entry["ref"] for entry in manifest["contents"].values()]

    # The methods below are named after the client's GraphQL operations.

    def Viewer(self) -> object:
        return {"viewer": {"id": "ada", "entity": "us", "username": "ada", "flags": "{}", "teams": {"edges": []}}}

    def RunResumeStatus(self, name: str, **_: Any) -> object:
        run = self.runs.get(name)
        bucket = None
        if run:
            bucket = {
                **self._bucket(name),
                "summaryMetrics": json.dumps(run.summary),
                "logLineCount": 0,
                "historyLineCount": len(run.history),
                "eventsLineCount": 0,
                "historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]),
                "eventsTail": "[]",
                "wandbConfig": json.dumps({"t": 1}),
            }
        return {"model": {**PROJECT, "bucket": bucket}}

    def UpsertBucket(self, name: str, **variables: Any) -> object:
        inserted = name not in self.runs
        run = self.runs.setdefault(name, Run())
        run.starts += variables["displayName"] is not None
        run.config |= json.loads(variables["config"] or "{}")
        return {"upsertBucket": {"bucket": self._bucket(name), "inserted": inserted}}

    def CreateRunFiles(self, run: str, files: list[str], **_: Any) -> object:
        uploads = [{"name": file, "uploadUrl": f"{self.url}/upload/{run}/{file}"} for file in files]
        return {"createRunFiles": {"runID": run, "uploadHeaders": [], "files": uploads}}

    def ArtifactType(self, **_: Any) -> object:
        return {"project": {"artifact": None}}

    def CreateArtifact(self, input: dict[str, Any]) -> object:
        name = input["artifactCollectionName"]
        self._artifacts[name] = input
        if input["runName"]:
            self.outputs.add((input["runName"], name))
        artifact = {"id": name, "state": "PENDING", "artifactSequence": {"latestArtifact": None}}
        return {"createArtifact": {"artifact": artifact}}

    def CreateArtifactManifest(self, **variables: Any) -> object:
        name = variables["artifactID"]
        file = {"uploadUrl": f"{self.url}/upload/{name}/manifest", "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": name, "file": {"id": name, **file}}}}

    def CreateArtifactFiles(self, input: dict[str, Any]) -> object:
        nodes = [
            {
                "storagePath": file["name"],
                "uploadUrl": f"{self.url}/upload/{file['artifactID']}/{file['name']}",
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
                "artifact": {"id": file["artifactID"]},
            }
            for file in input["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def CommitArtifact(self, **variables: Any) -> object:
        name = variables["artifactID"]
        return {"commitArtifact": {"artifact": {"id": name, "digest": "0"}}}

    def UseArtifact(self, input: dict[str, Any]) -> object:
        self.inputs.add((input["runName"], input["artifactID"]))
        return {"useArtifact": {"artifact": {"id": input["artifactID"]}}}

    def ArtifactByID(self, id: str, **_: Any) -> object:
        created = self._artifacts[id]
        artifact = {
            "id": id,
            "artifactSequence": {"name": id, "project": PROJECT},
            "versionIndex": 0,
            "artifactType": {"name": created["artifactTypeName"]},
            "description": None,
            "metadata": created["metadata"],
            "ttlDurationSeconds": -2,
            "ttlIsInherited": True,
            "tags": [],
            "historyStep": None,
            "state": "COMMITTED",
            "size": 0,
            "digest": created["digest"],
            "commitHash": "0",
            "fileCount": 1,
            "createdAt": "2026-11-24T00:00:00Z",
            "updatedAt": None,
        }
        return {"artifact": artifact}

    @staticmethod
    def _bucket(name: str) -> dict[str, Any]:
        return {"id": name, "name": name, "displayName": name, "config": "{}", "project": PROJECT}
