"""A headless Chromium for tests of pages, spoken to through a pipe by its DevTools protocol."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_START_S = 60.0


class Chromium:
    """One browser with one page."""

    def __init__(self) -> None:
        path = next(filter(None, map(shutil.which, _NAMES)), None)
        assert path, "no headless Chromium: as root, apt-get install chromium-headless-shell"
        self._profile = tempfile.TemporaryDirectory(
            prefix="lab-chromium-", ignore_cleanup_errors=True
        )
        told_read, self._told = os.pipe()
        self._said, said_write = os.pipe()
        self._process = subprocess.Popen(
            # It reads its orders from descriptor 3 and answers on 4.
            [
                *(
                    "sh",
                    "-c",
                    f'exec "$@" 3</dev/fd/{told_read} 4>/dev/fd/{said_write}',
                    "sh",
                    path,
                ),
                *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
                *("--no-first-run", "--disable-background-networking", "--remote-debugging-pipe"),
                f"--user-data-dir={self._profile.name}",
            ],
            pass_fds=(told_read, said_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(told_read)
        os.close(said_write)
        self._number = 0
        self._pending = b""
        self._session = ""
        self.complaints: list[str] = []
        """What the page wrote to its console or threw."""
        target = self._order("Target.createTarget", url="about:blank")["targetId"]
        attached = self._order("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._order(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session = ""
        self._order("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._told)
        os.close(self._said)
        self._profile.cleanup()

    def _order(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        order = {"id": self._number, "method": method, "params": params}
        if self._session:
            order["sessionId"] = self._session
        os.write(self._told, json.dumps(order).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._pending:
            ready, _, _ = select.select([self._said], [], [], _START_S)
            data = os.read(self._said, 1 << 16) if ready else b""
            assert data, "Chromium does not answer, or has ended"
            self._pending += data
        message, self._pending = self._pending.split(b"\0", 1)
        answer: dict[str, Any] = json.loads(message)
        return answer

    def _note(self, event: dict[str, Any]) -> None:
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        if event.get("method") in kinds:
            self.complaints.append(json.dumps(event["params"]))

    def open(self, url: str, width: int = 1280, height: int = 900, *, dark: bool = False) -> None:
        """Load a page on a screen of that size."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._order("Emulation.setEmulatedMedia", features=[scheme])
        self._order(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self._order("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")

    def value(self, expression: str) -> Any:
        """Evaluate JavaScript in the page."""
        answer = self._order("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str, timeout_s: float = 60.0) -> Any:
        """Wait until an expression is true; return its value."""
        deadline_s = time.monotonic() + timeout_s
        while not (value := self.value(expression)):
            assert time.monotonic() < deadline_s, f"never came true: {expression}"
            time.sleep(0.05)
        return value

    def picture(self, path: Path) -> None:
        """Save what the page looks like."""
        path.write_bytes(base64.b64decode(self._order("Page.captureScreenshot")["data"]))
