"""Drives headless Chromium over its debugging pipe (DevTools protocol, one JSON object a message, each ended by a NUL)
with the standard library alone. As a program: judges a page of `lens review` by its keys, as test_review.sh says.

    review_browser.py CHROMIUM PAGE FOLDER        FOLDER gets the exported decisions and screenshots
"""
import base64
import fcntl
import json
import os
import pathlib
import select
import subprocess
import sys
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


def item(b):
    return b.js("items[at].sample + ' ' + items[at].kind")


def judge(b, page, folder):
    b.open(page.as_uri())
    n = b.js("items.length")
    assert n >= 12, n
    assert b.js("$('picture').decode().then(() => $('picture').naturalWidth)") > 0
    for name, size in (("light.png", {}), ("dark.png", {"dark": True}), ("phone.png", {"width": 390, "height": 844}),
                       ("phone-dark.png", {"width": 390, "height": 844, "dark": True})):
        assert b.screenshot(name, **size), name + ": wider than its window"
    b.key("j")
    assert b.js("$('reason').checkVisibility() && $('reason').textContent").startswith("review"), b.js("$('reason').textContent")
    assert b.js("$('others').textContent").startswith("Also: dense")
    b.screenshot("rejected.png")
    b.key("k")

    # Hostile captions stay text: nothing ran, no element was made, hidden characters are spelled out.
    assert b.js("typeof window.broken") == "undefined"
    assert b.js("document.querySelectorAll('b, img:not(#picture)').length") == 0
    hostile = b.js("items.findIndex(i => i.text.includes('</script>'))")
    assert hostile >= 0
    for _ in range(hostile):
        b.key("j")
    assert b.js("at") == hostile
    shown = b.js("$('caption').textContent")
    assert "</script><script>window.broken = 1</script><b>bold</b> & \"quotes\" U+202Eturned" in shown, shown
    b.screenshot("hostile.png")
    while b.js("at"):
        b.key("ArrowLeft")

    # Decisions, one of each; an edit by typing; one undone.
    expected = {}
    expected[item(b)] = ("accept", b.js("answer(items[at])"))
    b.key("a")
    expected[item(b)] = ("reject", b.js("answer(items[at])"))
    b.key("r")
    expected[item(b)] = ("edit", "A new caption, ja \u202e</script>")
    b.key("e")
    assert b.js("document.activeElement.id") == "edit-text"
    b.js("$('edit-text').select()")
    b.call("Input.insertText", text="A new caption, ")
    b.keys("ja")  # letters, not commands, while a text is edited
    b.call("Input.insertText", text=" \u202e</script>")
    b.key("Enter", modifiers=2)
    before = item(b)
    b.key("a")
    b.key("u")
    assert item(b) == before
    b.key("e")
    b.key("Escape")
    b.key("j")
    assert b.js("decisions.size") == 3, b.js("$('note').textContent")
    b.key("?")
    assert b.js("$('help').open")
    b.key("a")  # not while help is open
    b.key("Escape")
    assert b.js("decisions.size") == 3 and not b.js("$('help').open")
    assert "1 accepted, 1 rejected, 1 edited; accepted 33.3 % (95 %: 6.1\u201379.2)" in b.js("$('counts').textContent"), \
        b.js("$('counts').textContent")

    b.key("s")
    text = b.download()
    rows = [json.loads(line) for line in text.splitlines()]
    got = {f"{r['sample']} {r['kind']}": (r["decision"], r["text"]) for r in rows}
    assert got == expected, (got, expected)
    assert all(r["by"] == "review" and r["shard"].startswith("shard-") and r["time"].endswith("Z") for r in rows)
    (folder / "decisions.jsonl").write_text(text, encoding="utf-8")

    # Kept over a reload; a filter; then taken away, and imported from the file.
    b.open(page.as_uri())
    assert b.js("decisions.size") == 3
    b.js("$('filter').value = 'undecided'; $('filter').dispatchEvent(new Event('change'))")
    assert b.js("decisions.has(at)") is False
    b.js("localStorage.clear(); decisions.clear(); draw()")
    b.open(page.as_uri())
    assert b.js("decisions.size") == 0
    root = b.call("DOM.getDocument")["root"]["nodeId"]
    node = b.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    b.call("DOM.setFileInputFiles", nodeId=node, files=[str(folder / "decisions.jsonl")])
    b.js("new Promise(done => { const look = () => $('note').textContent.includes('imported') ? done() : setTimeout(look, 10); look(); })")
    assert b.js("exported()") == text
    assert b.js("take('{\"sample\":1}'), $('note').textContent") == "Line 1 is no decision: nothing was imported."
    assert b.js("decisions.size") == 3

    # Nothing went wrong on the way, and nothing was fetched.
    wrong = [e for e in b.events if e.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")]
    assert not wrong, wrong
    fetched = {e["params"]["request"]["url"].split(":")[0] for e in b.events if e.get("method") == "Network.requestWillBeSent"}
    assert fetched <= {"file", "data", "blob"}, fetched


def main():
    folder = pathlib.Path(sys.argv[3]).resolve()
    browser = Browser(sys.argv[1], folder)
    try:
        judge(browser, pathlib.Path(sys.argv[2]).resolve(), folder)
    finally:
        browser.close()


if __name__ == "__main__":
    main()
