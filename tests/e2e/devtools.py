"""Drives headless Chromium over its debugging pipe (DevTools protocol, one JSON object a message, each ended by a NUL)
with the standard library alone."""
import base64
import fcntl
import json
import os
import pathlib
import select
import subprocess
import time

DEADLINE_S = 40  # of one wait


class Browser:
    def __init__(self, program, folder):
        self.folder = pathlib.Path(folder)
        # Above the numbers 3 and 4, which the browser reads from and writes to.
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20) for fd in (*os.pipe(), *os.pipe())]
        to_read, self.to, self.come, to_write = ends

        def place():
            os.dup2(to_read, 3)
            os.dup2(to_write, 4)

        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
             f"--user-data-dir={self.folder / 'profile'}", "about:blank"],
            preexec_fn=place, pass_fds=(3, 4), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=open(self.folder / "browser.log", "wb"))
        os.close(to_read)
        os.close(to_write)
        self.bytes, self.number, self.session, self.events = b"", 0, None, []

    def message(self):
        until = time.monotonic() + DEADLINE_S
        while b"\0" not in self.bytes:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.come], [], [], left)[0]:
                raise TimeoutError("the browser says nothing")
            got = os.read(self.come, 1 << 20)
            if not got:
                raise EOFError("the browser has gone: " + (self.folder / "browser.log").read_text(errors="replace")[-500:])
            self.bytes += got
        one, self.bytes = self.bytes.split(b"\0", 1)
        return json.loads(one)

    def call(self, method, **params):
        self.number += 1
        request = {"id": self.number, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.to, json.dumps(request).encode() + b"\0")
        while True:
            m = self.message()
            if m.get("id") == self.number:
                assert "error" not in m, (method, m)
                return m["result"]
            self.events.append(m)

    def event(self, method, wanted=lambda params: True):
        """Waits for it; earlier events count."""
        while True:
            for i, e in enumerate(self.events):
                if e.get("method") == method and wanted(e["params"]):
                    return self.events.pop(i)["params"]
            self.events.append(self.message())

    def open(self, url):
        if not self.session:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
                self.call(domain + ".enable")
            self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.folder), eventsEnabled=True)
        self.events = [e for e in self.events if e.get("method") != "Page.loadEventFired"]
        self.call("Page.navigate", url=url)
        self.event("Page.loadEventFired")

    def js(self, expression):
        r = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in r, r
        return r["result"].get("value")

    def key(self, key, code=None, modifiers=0):
        named = {"ArrowRight": 39, "ArrowLeft": 37, "Escape": 27, "Enter": 13, "Tab": 9}
        params = {"key": key, "code": code or key, "modifiers": modifiers}
        if key in named:
            params["windowsVirtualKeyCode"] = named[key]
            self.call("Input.dispatchKeyEvent", type="rawKeyDown", **params)
        else:
            self.call("Input.dispatchKeyEvent", type="keyDown", text=key, **params)
        self.call("Input.dispatchKeyEvent", type="keyUp", **params)

    def keys(self, keys):
        for key in keys:
            self.key(key)

    def screenshot(self, name, width=1280, height=860, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        png = self.call("Page.captureScreenshot", format="png")["data"]
        (self.folder / name).write_bytes(base64.b64decode(png))
        return self.js("document.documentElement.scrollWidth <= innerWidth")

    def download(self):
        """Of the last key: the file's text."""
        begun = self.event("Browser.downloadWillBegin")
        self.event("Browser.downloadProgress", lambda p: p["guid"] == begun["guid"] and p["state"] == "completed")
        path = self.folder / begun["suggestedFilename"]
        text = path.read_text(encoding="utf-8")
        path.unlink()
        return text

    def close(self):
        try:
            self.session = None
            self.call("Browser.close")
        except (OSError, EOFError, TimeoutError):
            self.process.kill()
        self.process.wait()
