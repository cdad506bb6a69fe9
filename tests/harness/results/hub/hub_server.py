"""A hub on this machine: the endpoints by which huggingface_hub makes a repository and commits a folder."""

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_abcdefghijklmnopqrstuvwxyzabcdefgh"  # of this server alone


@dataclass
class Hub:
    """What it holds: of each repository whether it is private, and its files; `refuses` is a status."""

    url: str = ""
    private: dict[str, bool] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    refuses: int = 0


def running() -> Iterator[Hub]:
    """The server, for as long as a test goes on."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.removeprefix("/api/models/").partition("?")[0]
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                self.answer({"error": "Invalid token."}, 401)
            elif self.path.startswith("/api/whoami"):
                self.answer({"type": "user", "name": "me", "auth": {"accessToken": {"role": "write"}}})
            elif name.endswith("/tree/main"):
                held = hub.files.get(name.removesuffix("/tree/main"), {})
                self.answer(
                    [{"type": "file", "path": n, "size": len(b), "oid": "0"} for n, b in held.items()]
                )
            elif name in hub.private:
                self.answer({"id": name, "private": hub.private[name], "tags": [], "siblings": []})
            else:
                self.answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            path = self.path.partition("?")[0]
            if hub.refuses:
                self.answer({"error": "You don't have the rights."}, hub.refuses)
            elif path == "/api/repos/create":
                asked = json.loads(body)
                name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
                hub.private.setdefault(name, asked.get("private") or asked.get("visibility") == "private")
                self.answer({"url": f"{hub.url}/{name}"})
            elif path == "/api/validate-yaml":
                self.answer({"errors": [], "warnings": []})
            elif "/preupload/" in path:
                names = [file["path"] for file in json.loads(body)["files"]]
                whole = [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]
                self.answer({"files": whole})
            else:
                self.commit(path.removeprefix("/api/models/").partition("/commit/")[0], body)

        def commit(self, name: str, body: bytes) -> None:
            for row in map(json.loads, body.splitlines()):
                if row["key"] == "header":
                    hub.commits.append(row["value"]["summary"])
                elif row["key"] == "deletedFile":
                    del hub.files[name][row["value"]["path"]]
                else:
                    held = base64.b64decode(row["value"]["content"])
                    hub.files.setdefault(name, {})[row["value"]["path"]] = held
            self.answer({"commitUrl": f"{hub.url}/{name}/commit/1", "commitOid": "1" * 40, "success": True})

        def answer(self, held: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
            data = json.dumps(held).encode()
            self.send_response(status)
            for key, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
                self.send_header(key, value)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield hub
    server.shutdown()
    server.server_close()
