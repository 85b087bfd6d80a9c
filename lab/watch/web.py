"""The view as a page: one HTML file and a stream of events, served by this process.

The page needs nothing from any other machine. It is served at the loopback address unless
asked otherwise; requests that name another host are refused there, so that no page from
elsewhere can read it through a browser (DNS rebinding).
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from ipaddress import ip_address
from typing import Any

import msgspec

from lab.errors import LabError
from lab.report import palette
from lab.topology import Topology
from lab.watch.source import LabGoneError, Source, StandingLab, views, wait_for_lab

_KEEP_ALIVE_S = 10.0
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
)
_LIGHT = {
    "ink": palette.INK,
    "muted": palette.MUTED,
    "line": palette.GRID,
    "edge": palette.LINK,
    "surface": palette.SURFACE,
    "node": palette.NODE,
    "low": palette.HEAT[1][1],
    "middle": palette.HEAT[2][1],
    "high": palette.HEAT[3][1],
    "full": palette.AMBER,
    "bad": palette.VERMILION,
}


class Hub:
    """The newest message of each kind, for any number of listeners.

    A listener that is slow misses messages; it never holds up the others.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._number = 0
        self._newest: dict[str, tuple[int, bytes]] = {}

    def publish(self, kind: str, data: object) -> None:
        """Make a message the newest of its kind."""
        text = msgspec.json.encode(data)
        with self._changed:
            self._number += 1
            self._newest[kind] = (self._number, text)
            self._changed.notify_all()

    def after(self, number: int, timeout_s: float) -> tuple[int, list[tuple[str, bytes]]]:
        """Wait for messages newer than ``number``; return the newest number and them in order.

        Number 0 gives the newest of every kind. No message when the time is over.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._number > number, timeout_s)
            newer = sorted(
                (at, kind, text) for kind, (at, text) in self._newest.items() if at > number
            )
            return self._number, [(kind, text) for _, kind, text in newer]


@cache
def page() -> bytes:
    """Return the whole page; it shows nothing before the first event."""
    parts = files("lab.watch").joinpath("page")
    text = parts.joinpath("page.html").read_text(encoding="utf-8")
    style = parts.joinpath("page.css").read_text(encoding="utf-8")
    script = parts.joinpath("page.js").read_text(encoding="utf-8")
    text = text.replace("/*style*/", _colours() + style).replace("/*script*/", script)
    return text.encode()


def _colours() -> str:
    def variables(dark: bool) -> str:
        return "".join(
            f"--{name}:{palette.LIGHT_TO_DARK[colour] if dark else colour};"
            for name, colour in _LIGHT.items()
        )

    return (
        f":root{{color-scheme:light dark;{variables(False)}}}\n"
        f"@media(prefers-color-scheme:dark){{:root{{{variables(True)}}}}}\n"
    )


class _Handler(BaseHTTPRequestHandler):
    server: "Server"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if not self.server.may_ask(self.headers.get("Host", "")):
            self.send_error(HTTPStatus.FORBIDDEN, "this page is served under its own address only")
        elif self.path == "/":
            self._send_page()
        elif self.path == "/events":
            self._send_events()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _send_page(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(page())))
        self.end_headers()
        self.wfile.write(page())

    def _send_events(self) -> None:
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        number = 0
        try:
            while True:
                number, messages = self.server.hub.after(number, _KEEP_ALIVE_S)
                for kind, text in messages:
                    self.wfile.write(b"event: %b\ndata: %b\n\n" % (kind.encode(), text))
                if not messages:
                    self.wfile.write(b": still here\n\n")  # fails once the reader has gone
        except OSError:
            return

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal belongs to the user."""


class Server(ThreadingHTTPServer):
    """Serves the page and its events from threads of its own.

    LabError when the address cannot be had.
    """

    daemon_threads = True

    def __init__(self, address: str, port: int) -> None:
        self.hub = Hub()
        try:
            super().__init__((address, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise LabError(
                f"the page cannot be served at {address}:{port}: {reason}",
                remedy="choose another with --port (0: any free one)",
            ) from None
        self._names = {"localhost", address} if ip_address(address).is_loopback else None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{self.server_address[0]!s}:{self.server_port}/"

    def may_ask(self, host: str) -> bool:
        """Whether a request addressed to ``host`` is meant for this server."""
        return self._names is None or host.rsplit(":", 1)[0] in self._names

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away in mid-answer is no news."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve until the context ends."""
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


def serve(
    address: str, port: int, *, every_s: float, wait: bool, on_ready: Callable[[str], None]
) -> None:
    """Serve the standing lab as a page until it goes; with ``wait`` also every later lab.

    ``on_ready`` is told the page's address. LabError when no lab stands and none is waited
    for, or when the address cannot be had.
    """
    source = None if wait else StandingLab()
    try:
        server = Server(address, port)
    except LabError:
        if source is not None:
            source.close()
        raise
    with server.running():
        on_ready(server.url)
        while True:
            if source is None:
                source = wait_for_lab(lambda: server.hub.publish("gone", {"waiting": True}))
            show(source, server.hub, every_s)
            source = None
            server.hub.publish("gone", {"waiting": wait})
            if not wait:
                return


def show(source: Source, hub: Hub, every_s: float) -> None:
    """Publish a lab's wiring and then its views until it goes; lets go of it at the end."""
    try:
        hub.publish("lab", wiring(source.lab.topology, source.lab.lab_id))
        for view in views(source, every_s):
            hub.publish("view", view)
    except LabGoneError:
        return
    finally:
        source.close()


def wiring(topology: Topology, lab_id: str) -> dict[str, object]:
    """Return what the page draws: nodes by layer, and cables."""
    layers: dict[int, list[str]] = {}
    for node in (*topology.switches, *topology.hosts):
        layers.setdefault(topology.layer[node], []).append(node)
    return {
        "lab_id": lab_id,
        "topology": topology.name,
        "layers": [layers[layer] for layer in sorted(layers, reverse=True)],
        "cables": [[c.a.node, c.a.port, c.b.node, c.b.port] for c in topology.links],
    }
