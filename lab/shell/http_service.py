"""A small HTTP service, the kind of resource that a cluster keeps available (thesis 7.2).

It answers every GET with which node serves, so that a client sees a fail-over. It is started as a
program of its own and imports the standard library alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Server(ThreadingHTTPServer):
    """Does not complain of clients that go away."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Write nothing: clients keep the record."""


def make_server(address: str, port: int, name: str, node: int) -> ThreadingHTTPServer:
    """Return a server that is bound and listens; OSError when the address is not here."""

    class Handler(BaseHTTPRequestHandler):
        """Answers with who serves."""

        def do_GET(self) -> None:
            """Answer."""
            body = json.dumps({"name": name, "node": node}).encode() + b"\n"
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Write nothing either."""

    return _Server((address, port), Handler)


def _end_with_input() -> None:
    """End when the shell that started this has ended, in whatever way."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(0)


def main() -> None:
    """Serve until the input ends."""
    parser = argparse.ArgumentParser(description="Answers HTTP with which node serves.")
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--name", required=True)
    parser.add_argument("--node", type=int, required=True)
    options = parser.parse_args()
    try:
        server = make_server(options.address, options.port, options.name, options.node)
    except OSError as error:
        sys.exit(f"cannot listen at {options.address}:{options.port}: {error.strerror}")
    threading.Thread(target=_end_with_input, daemon=True).start()
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
