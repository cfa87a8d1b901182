"""Chromium without a driver beside it: its DevTools protocol over two pipes, which needs no package."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ANSWER_S = 120.0  # a slow machine may take a minute to start it
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-pipe",
)
# Becomes Chromium, which reads from descriptor 3 and writes to 4; out of the way first, they may be either.
LAUNCH = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(number), fcntl.F_DUPFD_CLOEXEC, 10) for number in sys.argv[1:3]]
os.dup2(pipes[0], 3)
os.dup2(pipes[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Tab:
    """One page of the browser."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)

    def open(self, url: str) -> None:
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        assert "errorText" not in self.call("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, script: str, timeout_s: float = 60.0) -> Any:
        """The first true value of a JavaScript expression, looked at again and again."""
        answer = self.run(
            f"""new Promise((done) => {{
              const latest = performance.now() + {timeout_s * 1e3};
              const value = () => {{ try {{ return {script}; }} catch {{ return null; }} }};
              const look = () => {{
                const found = value();
                if (found || performance.now() > latest) done(found); else setTimeout(look, 20);
              }};
              look();
            }})"""
        )
        assert answer, f"not within {timeout_s} s: {script}"
        return answer

    def size(self, width: int, height: int, dark: bool = False, scale: int = 1) -> None:
        phone = width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=phone,
        )
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[theme])

    def screenshot(self, path: Path) -> None:
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))


class Browser:
    def __init__(self, process: subprocess.Popen[bytes], write_fd: int, read_fd: int) -> None:
        self._process, self._write_fd, self._read_fd = process, write_fd, read_fd
        self._numbers = itertools.count(1)
        self._unread = b""
        self.errors: list[str] = []  # uncaught ones, and what a page's policy refused

    def tab(self) -> Tab:
        target = self.call("Target.createTarget", url="about:blank", newWindow=True)["targetId"]
        return Tab(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._write_fd, json.dumps(message).encode() + b"\0")
        deadline_s = time.monotonic() + ANSWER_S
        while True:
            answer = self._message(deadline_s)
            if answer.get("method") in {"Log.entryAdded", "Runtime.exceptionThrown"}:
                self.errors.append(json.dumps(answer["params"]))
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]  # type: ignore[no-any-return]

    def _message(self, deadline_s: float) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._read_fd], [], [], max(0.0, deadline_s - time.monotonic()))
            assert ready, "Chromium does not answer"
            chunk = os.read(self._read_fd, 1 << 16)
            assert chunk, "Chromium has gone"
            self._unread += chunk
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)  # type: ignore[no-any-return]


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A headless browser with a profile of its own."""
    to_child, write_fd = os.pipe()
    read_fd, from_child = os.pipe()
    command = [sys.executable, "-c", LAUNCH, str(to_child), str(from_child), str(CHROMIUM), *FLAGS]
    process = subprocess.Popen(
        [*command, f"--user-data-dir={profile}", "about:blank"],
        pass_fds=(to_child, from_child),
        stderr=subprocess.DEVNULL,
    )
    os.close(to_child)
    os.close(from_child)
    try:
        yield Browser(process, write_fd, read_fd)
    finally:
        os.close(write_fd)  # which ends it
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(read_fd)
