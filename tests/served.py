"""A running `sidebyside serve`, for the tests that look at it from outside. None of its waits is without an end."""

import http.client
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SECONDS_TO_START = 60


class Served:
    """The process, and what one can ask it."""

    def __init__(self, source: Path, *options: str):
        command = [sys.executable, "-m", "sidebyside", "serve", str(source), *options]
        # A file takes any number of messages. A pipe that nobody reads would stop the process when it is full.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._errors, text=True)
        assert self.process.stdout
        give_up = threading.Timer(SECONDS_TO_START, self.process.kill)
        give_up.start()
        line = self.process.stdout.readline()
        give_up.cancel()
        match = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        if not match:
            raise AssertionError(f"the preview did not start: {line!r} {self.stop()}")
        self.port = int(match[1])

    def get(self, path: str, host: str = "localhost", method: str = "GET") -> tuple[int, str, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host)
        connection.endheaders()
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        return response.status, body, dict(response.getheaders())

    def events(self, page: str, version: int = 1) -> Iterator[dict[str, Any]]:
        """News for a page that was served at some version."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", f"/.sidebyside/events?page={page}&version={version}")
        response = connection.getresponse()
        deadline = time.monotonic() + 30
        while (line := response.readline()) and time.monotonic() < deadline:
            if line.startswith(b"data: "):
                yield json.loads(line[6:])

    def wait(self) -> str:
        """Wait for the end, and give what it said on the standard error."""
        self.process.communicate(timeout=30)
        self._errors.seek(0)
        errors = self._errors.read()
        self._errors.close()
        return errors

    def stop(self) -> str:
        self.process.terminate()
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.wait()
