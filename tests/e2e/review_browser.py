"""Judges pages of `lens review` in headless Chromium by their keys, as test_review.sh says.

    review_browser.py CHROMIUM FOLDER PAGES       FOLDER gets the exported decisions and screenshots; PAGES holds
                                                  page.html, served.html and hostile.html
"""
import json
import pathlib
import sys
import time

from devtools import Browser


def item(b):
    return b.js("items[at].sample + ' ' + items[at].kind")


def go_to(b, wanted):
    """By the keys alone, to the first item that `wanted` (JavaScript over i) holds for."""
    n = b.js(f"items.findIndex(i => {wanted})")
    assert n >= 0, wanted
    while b.js("at") < n:
        b.key("j")
    while b.js("at") > n:
        b.key("k")
    assert b.js("at") == n


def retype(b, text):
    b.js("$('edit-text').select()")
    b.call("Input.insertText", text=text)


def choose(b, select, value):
    b.js(f"$('{select}').value = '{value}'; $('{select}').dispatchEvent(new Event('change'))")


def text_of(b, element):
    """What a person sees of it; "" where it is hidden."""
    return b.js(f"$('{element}').checkVisibility() ? $('{element}').textContent : ''")


def export(b, path):
    b.key("s")
    text = b.download()
    path.write_text(text, encoding="utf-8")
    return text


def reopen(b, page, n):
    """Until n decisions are there again: Chromium writes localStorage after the call that set it has returned."""
    end = time.monotonic() + 20
    b.open(page.as_uri())
    while b.js("decisions.size") != n and time.monotonic() < end:
        b.open(page.as_uri())
    assert b.js("decisions.size") == n


def look_at_page(b, name):
    for suffix, size in (("light", {}), ("dark", {"dark": True}), ("phone", {"width": 400}), ("phone-dark", {"width": 400, "dark": True})):
        assert b.screenshot(f"{name}-{suffix}.png", **size), f"{name}, {suffix}: wider than its window"


def judge(b, page, folder):
    b.open(page.as_uri())
    assert b.js("items.length") == 24
    assert b.js("$('picture').decode().then(() => $('picture').naturalWidth)") > 0
    look_at_page(b, "page")

    # What a person took out is not the gate's.
    b.key("j")
    assert text_of(b, "gate-title") == "Taken out in an earlier review"
    assert text_of(b, "reason").startswith("a person rejected"), text_of(b, "reason")
    assert text_of(b, "caption-title") == "What was taken out"
    assert b.js("$('others').textContent").startswith("Also: dense")
    choose(b, "filter", "gate")
    assert b.js("$('empty').checkVisibility()")
    b.key("a")  # nothing to decide over
    choose(b, "filter", "taken")
    assert b.js("items.filter((i, n) => passes(n)).length") == 12
    choose(b, "filter", "all")
    go_to(b, "true")

    # Hostile captions stay text: nothing ran, no element was made, hidden characters are spelled out.
    assert b.js("typeof window.broken") == "undefined"
    assert b.js("document.querySelectorAll('b, img:not(#picture)').length") == 0
    go_to(b, "i.text.includes('</script>')")
    shown = text_of(b, "caption")
    assert "</script><script>window.broken = 1</script><b>bold</b> & \"quotes\" U+202Eturned" in shown, shown
    b.screenshot("hostile.png")
    while b.js("at"):
        b.key("ArrowLeft")
    b.key("ArrowRight")
    b.key("ArrowLeft")
    b.key("k")  # there is none before the first
    assert b.js("at") == 0 and b.js("decisions.size") == 0

    # Decisions, one of each; an edit by typing; one undone.
    expected = {}
    expected[item(b)] = ("accept", b.js("answer(items[at])"))
    b.key("a")
    expected[item(b)] = ("reject", b.js("answer(items[at])"))
    b.key("r")
    expected[item(b)] = ("edit", "A new caption, ja \u202e</script>")
    b.key("e")
    assert b.js("document.activeElement.id") == "edit-text"
    retype(b, "A new caption, ")
    b.keys("ja")  # letters, not commands, while a text is edited
    b.call("Input.insertText", text=" \u202e</script>")
    b.key("Enter", modifiers=2)
    before = item(b)
    b.key("a")
    b.key("u")
    assert item(b) == before
    b.key("e")
    retype(b, "  ")
    b.key("Enter", modifiers=2)
    assert "cannot be empty" in text_of(b, "note")
    b.key("Escape")
    b.key("j")
    assert b.js("decisions.size") == 3, text_of(b, "note")
    b.key("?")
    assert b.js("$('help').open")
    b.key("a")  # not while help is open
    b.key("Escape")
    assert b.js("decisions.size") == 3 and not b.js("$('help').open")
    assert "1 accepted, 1 rejected, 1 edited; accepted 33.3 % (95 %: 6.1\u201379.2)" in text_of(b, "counts"), text_of(b, "counts")

    text = export(b, folder / "decisions.jsonl")
    rows = [json.loads(line) for line in text.splitlines()]
    got = {f"{r['sample']} {r['kind']}": (r["decision"], r["text"]) for r in rows}
    assert got == expected, (got, expected)
    assert all(r["by"] == "review" and r["shard"].startswith("shard-") and r["time"].endswith("Z") and len(r["of"]) == 16 for r in rows)

    # Kept over a reload; a filter; then taken away, and imported from the file.
    reopen(b, page, 3)
    choose(b, "filter", "undecided")
    assert b.js("decisions.has(at)") is False
    b.js("localStorage.clear(); decisions.clear(); draw()")
    reopen(b, page, 0)
    root = b.call("DOM.getDocument")["root"]["nodeId"]
    node = b.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    b.call("DOM.setFileInputFiles", nodeId=node, files=[str(folder / "decisions.jsonl")])
    b.js("new Promise(done => { const look = () => $('note').textContent.includes('imported') ? done() : setTimeout(look, 10); look(); })")
    assert b.js("exported()") == text
    take = lambda line: b.js(f"take({json.dumps(line)}), $('note').textContent")
    assert take('{"sample":1}') == "Line 1 is no decision: nothing was imported."
    stale = dict(rows[0], decision="reject", of="0" * 16)
    assert take(json.dumps(stale)) == "0 decisions imported, 1 of captions that have changed since."
    assert "that this page does not hold" in take(json.dumps(dict(rows[0], sample="another")))
    assert b.js("exported()") == text

    # A picture that has not come yet, as in a large page that loads.
    b.js("late = $('picture-' + items[at + 1].picture); late.remove(); items[at + 1].picture = 'late'; late.id = 'picture-late'; move(1)")
    assert b.js("$('picture').hidden")
    b.js("document.body.append(late, 'what follows'); new Promise(done => setTimeout(done))")
    assert not b.js("$('picture').hidden") and b.js("$('picture').decode().then(() => $('picture').naturalWidth)") > 0


def judge_served(b, page, folder):
    """What a gate rejected: accepted after all, rejected indeed, written anew."""
    b.open(page.as_uri())
    choose(b, "filter", "gate")
    assert b.js("items.filter((i, n) => passes(n)).length") == b.js("items.filter(i => i.text === '').length") >= 6
    choose(b, "filter", "all")
    expected = {}
    for reason, key, decision in (("loop", "a", "accept"), ("truncated", "r", "reject"), ("refused", "e", "edit")):
        go_to(b, f"i.kind === 'served' && i.reason === '{reason}'")
        assert text_of(b, "gate-title") == "Rejected by the gate"
        assert text_of(b, "reason").startswith(reason + ": "), text_of(b, "reason")
        assert text_of(b, "caption-title") == "Answer, as it came" and len(text_of(b, "caption")) > 10
        look_at_page(b, reason)
        expected[item(b)] = (decision, b.js("answer(items[at])"))
        b.key(key)
        if key == "e":
            expected[b.js("items[at].sample + ' served'")] = (decision, "Seven red boats.")
            retype(b, "Seven red boats.")
            b.screenshot("edit.png")
            b.key("Enter", modifiers=2)
    got = {}
    for line in export(b, folder / "decisions-served.jsonl").splitlines():
        r = json.loads(line)
        got[f"{r['sample']} {r['kind']}"] = (r["decision"], r["text"])
    assert got == expected, (got, expected)


def judge_hostile(b, page):
    """Alt-texts of 1 MB, from right to left, in HTML, of one long word."""
    b.open(page.as_uri())
    for name in ("html", "right-to-left", "word", "megabyte"):
        go_to(b, f"i.sample === '{name}'")
        look_at_page(b, name)
        shown = text_of(b, "alt")
        if name == "html":
            assert "<img src=x onerror=\"window.broken = 1\"> U+202Eevil" in shown, shown
        if name == "right-to-left":
            assert b.js("$('alt').matches(':dir(rtl)') && getComputedStyle($('alt')).direction") == "rtl"
            assert b.js("$('caption').matches(':dir(ltr)')")
        if name == "megabyte":
            assert len(shown) < 1000 and "Show more (600 of 1,048,576 characters)" in shown, shown
            for _ in range(4):
                b.js("$('alt').querySelector('button').click()")
            assert text_of(b, "alt").endswith("the end"), text_of(b, "alt")[-100:]
    assert b.js("typeof window.broken") == "undefined"
    assert b.js("document.querySelectorAll('b, img:not(#picture)').length") == 0


def check_events(b):
    """Nothing went wrong on the way, and nothing was fetched."""
    wrong = [e for e in b.events if e.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")]
    assert not wrong, wrong
    fetched = {e["params"]["request"]["url"].split(":")[0] for e in b.events if e.get("method") == "Network.requestWillBeSent"}
    assert fetched <= {"file", "data", "blob"}, fetched


def main():
    folder, pages = (pathlib.Path(p).resolve() for p in sys.argv[2:4])
    browser = Browser(sys.argv[1], folder)
    try:
        judge(browser, pages / "page.html", folder)
        judge_served(browser, pages / "served.html", folder)
        judge_hostile(browser, pages / "hostile.html")
        check_events(browser)
    finally:
        browser.close()


if __name__ == "__main__":
    main()
