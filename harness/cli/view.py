"""`bench view`: a run's page on this machine's own address, and nothing else of its folder."""

import os
import stat
import sys
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import typer

from harness.common.text import printed
from reports.page.page import NAME

# Never the network: a page holds prompts and answers that may not be public.
HOST = "127.0.0.1"
# Of a page of elsewhere neither a frame, an image nor a script may be this one.
ALONE = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"}
ALONE |= {"Cross-Origin-Resource-Policy": "same-origin"}


class Handler(BaseHTTPRequestHandler):
    """Answers `/` and `/report.html` with the page as it now lies on disk, to whoever asks for this very
    address; other paths are not there.
    """

    timeout = 30.0  # seconds of one who asks for nothing

    def __init__(self, page: Path, *of_server: object) -> None:
        self.page = page
        super().__init__(*of_server)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        # A page of elsewhere whose name leads to this machine would read this one as its own.
        _, port = self.connection.getsockname()
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0] not in own_names(port):
            self.send_error(421)
            return
        # http.server's own handler would serve the whole folder, logs included.
        body = _read(self.page) if self.path.partition("?")[0] in ("/", f"/{NAME}") else None
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        for name, value in ALONE.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: one reader's requests are no news."""


def own_names(port: int) -> set[str]:
    """The Host of whoever asks this machine itself; browsers leave out the port of all pages."""
    names = {HOST, "localhost"}
    return {f"{name}:{port}" for name in names} | (names if port == 80 else set())


class Server(ThreadingHTTPServer):
    """A server that is silent about readers who leave before they have the page."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell a fault of ours; where whoever asked is gone, nobody is left to tell."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def _read(page: Path) -> bytes | None:
    """The page; None where there is none, or a link: what it leads to is none of the run's."""
    only = os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe's open would wait for a writer
    try:
        with open(page, "rb", opener=lambda path, flags: os.open(path, flags | only)) as file:
            return file.read() if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
    except OSError:
        return None


def view(folder: Path, port: int) -> None:
    """Serve the page of a run's folder until Ctrl-C; ValueError where there is none. Port 0: a free one."""
    page = folder / NAME
    if not page.is_file() or page.is_symlink():
        raise ValueError(f"{folder} has no {NAME}; write it with `bench report {folder} --format html`")
    with Server((HOST, port), partial(Handler, page)) as server:
        typer.echo(printed(f"{folder.name}: http://{HOST}:{server.server_port}/ (Ctrl-C ends it)"))
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo("")
