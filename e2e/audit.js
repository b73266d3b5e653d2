// Looks the page over and returns what is wrong with it, as a list of
// sentences: what screen readers need, and whether text can be read (contrast,
// WCAG 2.2, 1.4.3) and what is clicked can be hit (2.5.8).
(() => {
  const flaws = [];
  const need = (ok, flaw) => ok || flaws.push(flaw);
  const all = selector => [...document.querySelectorAll(selector)];
  const shown = e => e.checkVisibility() && !e.closest(".hidden, .skip");

  need(document.documentElement.lang, "it has no language");
  need(document.title.length > 8, "it has no title");
  need(all("h1").length === 1, "it has not one h1");
  for (const landmark of ["header", "nav", "main", "footer"])
    need(all(landmark).length === 1, "it has not one " + landmark);
  const first = all("a, button, input")[0];
  need(first && first.className === "skip" && document.querySelector(first.hash), "the skip link is not first");

  const ids = all("[id]").map(e => e.id);
  need(new Set(ids).size === ids.length, "an id is there twice");
  for (const e of all("[aria-describedby], [aria-labelledby]"))
    for (const id of (e.getAttribute("aria-describedby") || e.getAttribute("aria-labelledby")).split(" "))
      need(ids.includes(id), "nothing has the id " + id);
  for (const e of all("input, textarea").filter(shown)) {
    need(e.labels.length === 1, e.id + " has no label");
    need(e.type === "textarea" || e.autocomplete, e.id + " has no autocomplete");
    need(!e.closest(".wrong") || e.getAttribute("aria-invalid") === "true" && e.getAttribute("aria-describedby"),
      e.id + " does not say what is wrong");
  }
  for (const e of all("a, button"))
    need(e.textContent.trim(), "a link or button has no name");
  need(document.documentElement.scrollWidth <= innerWidth, "it is wider than the window");
  for (const e of all("button, .button, input, textarea").filter(shown))
    need(e.getBoundingClientRect().height >= 40, `"${e.textContent || e.id}" is hard to hit`);

  const channels = color => color.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = e => {
    for (; e; e = e.parentElement) {
      const color = channels(getComputedStyle(e).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const contrast = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  for (const e of all("body *").filter(shown)) {
    if (![...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim())) continue;
    const ratio = contrast(channels(getComputedStyle(e).color), ground(e));
    need(ratio >= 4.5, `"${e.textContent.trim().slice(0, 30)}" has a contrast of ${ratio.toFixed(2)}`);
  }
  for (const e of all("input, textarea").filter(shown)) {
    const ratio = contrast(channels(getComputedStyle(e).borderTopColor), ground(e.parentElement));
    need(ratio >= 3, `the border of ${e.id} has a contrast of ${ratio.toFixed(2)}`);
  }
  return flaws;
})()
