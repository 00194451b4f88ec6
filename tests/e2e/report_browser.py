"""A report in headless Chromium: no page is wider than its window, tables fit at 800 and 1200 px and scroll within their
box on a phone, no label of a chart leaves its figure or covers another.

    report_browser.py CHROMIUM PAGE FOLDER        FOLDER gets the screenshots
"""
import sys

from review_browser import Browser

LABELS = """(() => {
  const wrong = [], r = e => e.getBoundingClientRect();
  for (const figure of document.querySelectorAll('figure.chart')) {
    const box = r(figure), texts = [...figure.querySelectorAll('svg text')];
    for (const t of texts) {
      const a = r(t);
      if (a.left < box.left - 1 || a.right > box.right + 1) wrong.push('outside: ' + t.textContent);
      for (const u of texts) {
        const b = r(u);
        if (u !== t && a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3)
          wrong.push(figure.querySelector('b').textContent + ': ' + t.textContent + ' covers ' + u.textContent);
      }
    }
  }
  return wrong;
})()"""
BOXES = ("[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
         ".map(e => e.querySelector('th').textContent + ' ' + e.scrollWidth + ' > ' + e.clientWidth)")
COLOURS = "(e => getComputedStyle(e).fill)(document.querySelector('.mark')) + getComputedStyle(document.body).color"

program, page, folder = sys.argv[1:]
browser = Browser(program, folder)
try:
    colours = set()
    for width, height, dark in ((1200, 3200, False), (800, 3800, True), (390, 5200, False), (390, 5200, True)):
        browser.open("file://" + page)
        name = f"report-{width}-{'dark' if dark else 'light'}.png"
        assert browser.screenshot(name, width, height, dark), f"{name}: the page is wider than its window"
        wide = browser.js(BOXES)
        assert not wide or width < 800, f"{name}: {wide}"
        wrong = browser.js(LABELS)
        assert not wrong, f"{name}: {wrong}"
        colours.add((dark, browser.js(COLOURS)))
    assert len({c for _, c in colours}) == 2, colours  # light and dark, the same at every width
finally:
    browser.close()
