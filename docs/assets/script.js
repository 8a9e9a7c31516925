/*
 * What a page does beyond being read.
 *
 * The text is complete without this file: every link works, and what needs a script is not shown.
 * Nothing here changes the address bar, and no key does anything while somebody types.
 */
(() => {
  "use strict";

  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
  const page = document.documentElement;
  const data = JSON.parse($("#page-data")?.textContent || "{}");
  const { search: searchScript } = document.currentScript?.dataset ?? {};
  const barHeight = () => $(".top")?.offsetHeight ?? 0;

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  /* Messages: one live region, so that a screen reader hears what the eye sees */

  const toast = document.body.appendChild(element("div", { class: "toast", role: "status" }));
  let toastTimer;

  function say(message) {
    toast.textContent = message;
    clearTimeout(toastTimer);
    toastTimer = setTimeout(() => (toast.textContent = ""), 2500);
  }

  /* Light and dark */

  function switchTheme() {
    const isDark = getComputedStyle(page).colorScheme === "dark" ||
      (!page.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    page.dataset.theme = isDark ? "light" : "dark";
    try { localStorage.setItem("theme", page.dataset.theme); } catch { /* a private window: it holds for this page */ }
    colourBrowserBar();
  }

  function colourBrowserBar() {
    if (!page.dataset.theme) return;
    const { backgroundColor } = getComputedStyle(document.body);
    for (const meta of $$("meta[name=theme-color]")) meta.content = backgroundColor;
  }

  /* Copying */

  async function copy(text, message) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Pages that do not come over https have no clipboard object
      const field = document.body.appendChild(element("textarea", { readonly: "" }));
      field.value = text;
      field.select();
      const copied = document.execCommand("copy");
      field.remove();
      if (!copied) return say("Could not copy");
    }
    say(message);
  }

  const copyLink = (href) => copy(new URL(href, location.href).href, "Link copied");

  const PROMPT = "\u0000";

  /* What a reader wants to paste: no numbers, and of a session only what was typed */
  function codeOf(pre) {
    const code = pre.cloneNode(true);
    for (const number of $$(".lineno", code)) number.remove();
    const prompts = $$(".gp", code);
    for (const prompt of prompts) prompt.replaceWith(PROMPT);
    const lines = code.textContent.replace(/\n+$/, "").split("\n");
    const typed = prompts.length ? lines.filter((line) => line.startsWith(PROMPT)).map((line) => line.slice(1)) : lines;
    return typed.join("\n") + "\n";
  }

  const COPY_ICON = '<svg class="icon" viewBox="0 0 20 20" aria-hidden="true"><path d="M7 7h9v10H7zM13 7V3H4v10h3"/></svg>';

  function addCopyButtons(section) {
    for (const pre of $$("pre", section)) {
      const button = element("button", { type: "button", class: "copy", "aria-label": "Copy this code" }, element("span", {}, "Copy"));
      button.insertAdjacentHTML("afterbegin", COPY_ICON);
      button.addEventListener("click", () => copy(codeOf(pre), "Code copied"));
      if (pre.closest(".docs")) {
        const frame = element("div", { class: "code-frame" });
        pre.replaceWith(frame);
        frame.append(pre);
      }
      pre.after(button);
    }
  }

  function addHeadingLinks(section) {
    for (const heading of $$(".docs :is(h1, h2, h3, h4, h5, h6)[id]", section)) {
      heading.append(element("a", { class: "heading-link", href: `#${heading.id}`, "aria-label": "Link to this heading" }, "#"));
    }
  }

  /* A section gets its controls when it comes near */
  function furnishSections() {
    const observer = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        observer.unobserve(target);
        addCopyButtons(target);
        addHeadingLinks(target);
      }
    }, { rootMargin: "50%" });
    for (const section of $$(".section")) observer.observe(section);
  }

  /* From section to section */

  const sections = $$(".section[id]");

  function currentSection() {
    const focused = document.activeElement.closest(".section[id]");
    if (focused) {
      const { top, bottom } = focused.getBoundingClientRect();
      if (bottom > barHeight() && top < innerHeight) return focused;
    }
    return sections.findLast((section) => section.getBoundingClientRect().top < barHeight() + 40) ?? sections[0];
  }

  function step(direction) {
    const current = currentSection();
    const isAbove = current && current.getBoundingClientRect().top < barHeight() - 20;
    const from = sections.indexOf(current);
    // Going back from the middle of a section leads to its beginning first
    const target = sections[direction < 0 && isAbove ? from : from + direction];
    if (!target) return;
    target.tabIndex = -1;
    target.focus({ preventScroll: true });
    target.scrollIntoView();
  }

  /* Contents that follow the scroll */

  function followScroll() {
    const known = $$(".contents a").flatMap((link) => {
      const target = document.getElementById(decodeURIComponent(link.hash.slice(1)));
      return target ? [[link, target, target.closest(".section")]] : [];
    });
    if (!known.length) return;
    let shown;

    function update() {
      const left = page.scrollHeight - innerHeight - scrollY;
      // The line that a heading must have passed. It sinks at the end of the page, where the last headings cannot rise to it.
      const line = barHeight() + 32 + Math.max(0, 1 - left / innerHeight) * (innerHeight - barHeight() - 32);
      const isPassed = (place) => place.getBoundingClientRect().top <= line;
      // The section first: asking for a place inside one that is far away would have it laid out
      const [link] = known.findLast(([, target, section]) => (!section || isPassed(section)) && isPassed(target)) ?? known[0];
      if (link === shown) return;
      shown?.removeAttribute("aria-current");
      link.setAttribute("aria-current", "true");
      shown = link;
      const box = link.closest(".contents");
      const middle = link.offsetTop - box.clientHeight / 2;
      if (Math.abs(box.scrollTop - middle) > box.clientHeight / 3) box.scrollTop = middle;
    }

    // It also calls once at the start, when the page has been laid out anyway
    const observer = new IntersectionObserver(update);
    for (const [, target] of known) observer.observe(target);
    let isWaiting = false;
    addEventListener("scroll", () => {
      if (isWaiting) return;
      isWaiting = true;
      requestAnimationFrame(() => { isWaiting = false; update(); });
    }, { passive: true });
  }

  /*
   * Names and symbols.
   *
   * A name is a token of code, or code in the prose that is spelled like one. A symbol is a letter of a formula together
   * with its index and its primes. A bullet that begins with a name and holds a symbol binds the two.
   */

  const NAME = ":is(.n, .nc, .nf, .fm, .nn, .nd, .na, .nb, .ne, .nv, .vm)";
  const TOKEN = `.section :is(.code, .docs pre) ${NAME}`;
  const LIGHTABLE = `${TOKEN}, .docs code.name, .docs math mi`;

  const nameOf = (token) => token.textContent.trim().replace(/^[@.]+|\(\)$/g, "");

  /* The element that stands for the whole symbol of which `mi` is a part: `c` or `n` within c_in gives all of c_in. */
  function symbolOf(mi) {
    let whole = mi;
    while (whole.parentElement.localName === "mrow" && whole.parentElement.children.length === 1) whole = whole.parentElement;
    for (let part = mi, up = mi.parentElement; up && up.localName !== "math"; part = up, up = up.parentElement) {
      if (!/^(msub|msubsup|msup)$/.test(up.localName)) continue;
      const [base, first] = up.children;
      const isIndex = up.localName !== "msup" && part === first;
      const isLabel = isIndex && !$("mo", first) && first.textContent.length > 1;
      const isPrimed = up.localName === "msup" && /^[′″‴'*]+$/.test(first.textContent);
      if (isLabel || (part === base && (up.localName !== "msup" || isPrimed))) return up;
      if (part !== base) break;
    }
    return mi;
  }

  function keyOf(symbol) {
    if (symbol.localName === "mi") return symbol.textContent;
    const [base, first] = symbol.children;
    return base.textContent + (symbol.localName === "msup" ? "^" : "_") + first.textContent;
  }

  let bindings;

  function findBindings() {
    if (bindings) return bindings;
    bindings = [];
    for (const item of $$(".docs li")) {
      const line = item.firstElementChild?.localName === "p" ? item.firstElementChild : item;
      const name = line.firstElementChild;
      if (name?.localName !== "code" || line.textContent.trimStart().indexOf(name.textContent) !== 0) continue;
      const symbols = $$("math", line).flatMap((formula) => {
        const found = new Set($$("mi", formula).map(symbolOf));
        const [only] = found;
        return found.size === 1 && formula.textContent.trim() === only.textContent.trim() ? [keyOf(only)] : [];
      });
      if (symbols.length) bindings.push({ name: nameOf(name), key: symbols.at(-1), item });
    }
    return bindings;
  }

  /* Which name a symbol stands for at this place: the one bound last before it */
  function boundName(key, place) {
    const all = findBindings().filter((binding) => binding.key === key);
    const isBefore = ({ item }) => item.compareDocumentPosition(place) & (Node.DOCUMENT_POSITION_FOLLOWING | Node.DOCUMENT_POSITION_CONTAINED_BY);
    return (all.findLast(isBefore) ?? all[0])?.name;
  }

  const walk = { uses: [], at: 0, bar: null };

  function light(target) {
    const isSymbol = target.localName === "mi";
    const key = isSymbol ? keyOf(symbolOf(target)) : null;
    const name = isSymbol ? boundName(key, target) : nameOf(target);
    const keys = new Set(isSymbol ? [key] : findBindings().filter((binding) => binding.name === name).map((binding) => binding.key));
    clear();
    const found = new Set();
    for (const candidate of $$(LIGHTABLE)) {
      if (candidate.localName !== "mi") {
        if (nameOf(candidate) === name) found.add(candidate);
      } else if (keys.size) {
        const symbol = symbolOf(candidate);
        if (keys.has(keyOf(symbol))) found.add(symbol);
      }
    }
    walk.uses = [...found];
    for (const use of walk.uses) use.classList.add("use");
    showBar(name, keys, isSymbol ? symbolOf(target) : null);
    goTo(Math.max(0, walk.uses.indexOf(isSymbol ? symbolOf(target) : target)), false);
  }

  function showBar(name, keys, symbol) {
    const title = element("span", { class: "what" });
    if (name) title.append(element("code", {}, name));
    if (keys.size) {
      const drawn = symbol ?? walk.uses.find((use) => use.namespaceURI.endsWith("MathML"));
      if (drawn) {
        const formula = document.createElementNS("http://www.w3.org/1998/Math/MathML", "math");
        formula.append(drawn.cloneNode(true));
        formula.firstChild.removeAttribute("class");
        title.append(" ", formula);
      }
    }
    const button = (label, sign, action, keys) => {
      const made = element("button", { type: "button", "aria-label": label, "aria-keyshortcuts": keys, title: `${label} (${keys})` }, sign);
      made.addEventListener("click", action);
      return made;
    };
    walk.bar = element("div", { class: "walk", role: "region", "aria-label": "Uses on this page" },
      element("output", {}, title, element("span", { class: "count" })),
      button("Previous use", "↑", () => goTo(walk.at - 1), "Shift+N"),
      button("Next use", "↓", () => goTo(walk.at + 1), "n"),
      button("Clear", "✕", clear, "Escape"));
    document.body.append(walk.bar);
  }

  function goTo(index, isMoving = true) {
    const { uses, bar } = walk;
    uses[walk.at]?.classList.remove("now");
    walk.at = (index + uses.length) % uses.length;
    const use = uses[walk.at];
    use.classList.add("now");
    const line = use.closest(".line")?.id.slice(1);
    $(".count", bar).textContent = `${walk.at + 1} of ${uses.length}${line ? ` · line ${line}` : ""}`;
    if (isMoving) use.scrollIntoView({ block: "center", inline: "nearest" });
    if (isMoving && steppedInto) focusItem(use.localName === "mi" || use.matches(LIGHTABLE) ? use : $("mi", use));
  }

  function clear() {
    for (const use of walk.uses) use.classList.remove("use", "now");
    walk.uses = [];
    walk.at = 0;
    walk.bar?.remove();
    walk.bar = null;
  }

  /*
   * Stepping into code.
   *
   * A page holds thousands of names, and none of them is a stop of the Tab key: a block of code is one stop.
   * Enter steps into it (or into a whole section), the arrow keys walk from name to name, Escape steps out.
   */

  let steppedInto = null;

  function makeOneStopOfCode() {
    for (const link of $$(".code a")) link.tabIndex = -1;
    const names = new Set($$(TOKEN).map(nameOf));
    for (const code of $$(".docs code")) {
      if (!code.closest("pre, a") && names.has(nameOf(code))) code.classList.add("name");
    }
  }

  function stepInto(container) {
    const items = $$(LIGHTABLE, container);
    const visible = items.find((item) => item.getBoundingClientRect().top > barHeight()) ?? items[0];
    if (!visible) return false;
    steppedInto = container;
    focusItem(visible);
    return true;
  }

  function stepOut() {
    const container = steppedInto;
    steppedInto = null;
    container.focus({ preventScroll: true });
  }

  function focusItem(item) {
    if (!item.hasAttribute("tabindex")) item.setAttribute("tabindex", "-1");
    item.focus({ preventScroll: true });
    item.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  function arrow(key, item) {
    const items = $$(LIGHTABLE, steppedInto);
    const at = items.indexOf(item);
    if (key === "ArrowRight" || key === "ArrowLeft") return items[at + (key === "ArrowRight" ? 1 : -1)];
    const here = item.getBoundingClientRect();
    const isDown = key === "ArrowDown";
    const ahead = isDown ? items.slice(at + 1) : items.slice(0, at).reverse();
    const boxes = ahead.map((each) => [each, each.getBoundingClientRect()]);
    const first = boxes.find(([, box]) => (isDown ? box.top >= here.bottom - 2 : box.bottom <= here.top + 2))?.[1];
    const line = first ? boxes.filter(([, box]) => Math.abs(box.top - first.top) < 4) : [];
    return line.sort(([, a], [, b]) => Math.abs(a.left - here.left) - Math.abs(b.left - here.left))[0]?.[0];
  }

  /* Cards: what a name of this project is, without going there */

  let card = null;
  let cardTimer;

  function later(action) {
    clearTimeout(cardTimer);
    cardTimer = setTimeout(action, 180);
  }

  function cardContents(link) {
    const known = data.cards?.[link.getAttribute("href")];
    if (known) return known;
    return [decodeURIComponent(link.hash.slice(1)) || link.textContent, link.hostname === location.hostname ? "" : `Documented at ${link.hostname}`];
  }

  function showCard(link, isTouch = false) {
    hideCard();
    const [signature, sentence] = cardContents(link);
    card = element("div", { class: "hover-card", id: "hover-card" }, element("code", {}, signature));
    if (sentence) card.append(element("p", {}, sentence));
    const uses = element("button", { type: "button", tabindex: "-1" }, "Show its uses here");
    uses.addEventListener("click", () => { hideCard(); light(link); });
    const go = element("a", { href: link.href, tabindex: "-1" }, "Go there");
    card.append(isTouch ? element("div", {}, go, uses) : element("div", {}, uses));
    card.link = link;
    $("main").append(card);
    link.setAttribute("aria-describedby", "hover-card");
    const box = link.getBoundingClientRect();
    const fitsBelow = box.bottom + card.offsetHeight + 8 < innerHeight;
    const top = fitsBelow ? box.bottom + 6 : Math.max(barHeight() + 4, box.top - card.offsetHeight - 6);
    const left = Math.max(12, Math.min(box.left, page.clientWidth - card.offsetWidth - 12));
    card.style.cssText = `top:${top + scrollY}px;left:${left + scrollX}px`;
  }

  function hideCard() {
    clearTimeout(cardTimer);
    card?.link.removeAttribute("aria-describedby");
    card?.remove();
    card = null;
  }

  function setUpCards() {
    const isKnown = (link) => link && data.cards?.[link.getAttribute("href")];
    addEventListener("pointerover", ({ target, pointerType }) => {
      if (pointerType === "touch" || !target.closest) return;
      const link = target.closest("a.ref");
      if (isKnown(link) && card?.link !== link) later(() => showCard(link));
      else if (card && (target.closest(".hover-card") || link)) clearTimeout(cardTimer);
      else later(hideCard);
    });
    addEventListener("focusin", ({ target }) => {
      if (isKnown(target.closest("a.ref")) && target.matches(":focus-visible")) showCard(target.closest("a.ref"));
      else if (card && !target.closest(".hover-card")) hideCard();
    });
    addEventListener("scroll", ({ target }) => { if (target.localName === "pre") hideCard(); }, true);
  }

  /* Images */

  function makeImagesZoom() {
    for (const image of $$(".docs img")) {
      const { parentElement: around } = image;
      const isAlone = around.matches(".docs") || (around.children.length === 1 && !around.textContent.trim());
      if (!isAlone || image.closest("a, button")) continue;
      const button = element("button", { type: "button", class: "zoom", "aria-haspopup": "dialog", title: "Enlarge" });
      image.replaceWith(button);
      button.append(image);
      button.addEventListener("click", () => enlarge(image));
    }
  }

  function enlarge(image) {
    const copyOfImage = image.cloneNode();
    for (const name of ["width", "height", "id", "loading"]) copyOfImage.removeAttribute(name);
    const close = element("button", { class: "close", "aria-label": "Close" }, "✕");
    const viewer = element("dialog", { class: "viewer", "aria-label": image.alt || "Image" }, element("form", { method: "dialog" }, close), copyOfImage);
    viewer.addEventListener("click", ({ target }) => { if (target === viewer || target === copyOfImage) viewer.close(); });
    viewer.addEventListener("close", () => viewer.remove());
    document.body.append(viewer);
    viewer.showModal();
  }

  /* Search is a script of its own, fetched when somebody wants to search */

  const searchButton = $(".search-button");
  const indexAddress = `${data.root ?? ""}search-index.js`;
  const scripts = new Map();

  function loadScript(src) {
    if (!scripts.has(src)) {
      scripts.set(src, new Promise((resolve, reject) => {
        const made = element("script", { src });
        made.onload = resolve;
        made.onerror = reject;
        document.head.append(made);
      }));
    }
    return scripts.get(src);
  }

  async function offerSearch() {
    if (!searchButton || !searchScript) return;
    try {
      // From a disk there is no asking whether a file is there without loading it, and loading it is cheap
      if (location.protocol === "file:") await loadScript(indexAddress);
      else if (!(await fetch(indexAddress, { method: "HEAD" })).ok) return;
      searchButton.hidden = false;
    } catch { /* there is no index: there is no search */ }
  }

  async function openSearch() {
    if (!searchButton || searchButton.hidden) return;
    try {
      await loadScript(indexAddress);
      await loadScript(searchScript);
      window.sidebysideSearch.open(data.root ?? "");
    } catch {
      searchButton.hidden = true;
      say("The search index could not be loaded");
    }
  }

  /* Keys and clicks */

  const actions = {
    theme: switchTheme,
    help: () => $("#help").showModal(),
    search: openSearch,
  };

  const keys = {
    j: () => step(1),
    k: () => step(-1),
    t: actions.theme,
    "?": actions.help,
    "/": actions.search,
    n: () => walk.bar && goTo(walk.at + 1),
    N: () => walk.bar && goTo(walk.at - 1),
    c: () => {
      const pre = currentSection() && $(".code pre", currentSection());
      if (pre) copy(codeOf(pre), "Code copied");
    },
    y: () => {
      const place = document.activeElement.closest(".line") ?? currentSection();
      if (place) copyLink(`#${place.id}`);
    },
  };

  function escape() {
    if (card) hideCard();
    else if (walk.bar) clear();
    else if (steppedInto?.contains(document.activeElement)) stepOut();
    else return false;
    return true;
  }

  function handleItemKey(event) {
    const item = event.target.closest(LIGHTABLE);
    if (!item || item !== event.target || !steppedInto?.contains(item)) return false;
    if (event.key.startsWith("Arrow")) {
      const next = arrow(event.key, item);
      if (next) focusItem(next);
      return true;
    }
    if (event.key === " " || (event.key === "Enter" && !item.matches("a"))) {
      light(item);
      return true;
    }
    return false;
  }

  function handleKey(event) {
    const { target, key } = event;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (target.closest("input, textarea, select, [contenteditable]") || $("dialog[open]")) return;
    let isHandled = handleItemKey(event);
    if (!isHandled && key === "Enter" && target.matches(".code pre, .section")) isHandled = stepInto(target);
    if (!isHandled && key === "Escape") isHandled = escape();
    if (!isHandled && Object.hasOwn(keys, key)) {
      keys[key]();
      isHandled = true;
    }
    if (isHandled) event.preventDefault();
  }

  function handleClick(event) {
    const { target } = event;
    if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const action = target.closest("[data-do]")?.dataset.do;
    if (action) return actions[action]();
    const anchor = target.closest(".section-link, .heading-link, .lineno");
    if (anchor) return void copyLink(anchor.getAttribute("href"));
    if (target.closest(".contents a") && $(".contents").matches(":popover-open")) $(".contents").hidePopover();
    const item = target.closest(LIGHTABLE);
    const link = target.closest("a");
    if (link?.matches(".ref") && (event.altKey || (event.pointerType === "touch" && card?.link !== link))) {
      event.preventDefault();
      return event.altKey ? light(link) : showCard(link, true);
    }
    if (card && !target.closest(".hover-card")) hideCard();
    if (item && !link && !String(getSelection())) light(item);
  }

  /* What scrolls sideways must be within reach of the keyboard */
  function makeScrollersFocusable() {
    const observer = new ResizeObserver((boxes) => {
      for (const { target } of boxes) {
        if (target.scrollWidth > target.clientWidth + 1) target.tabIndex = 0;
        else target.removeAttribute("tabindex");
      }
    });
    for (const box of $$(".docs pre, .docs table, .docs div.math")) observer.observe(box);
  }

  addEventListener("keydown", handleKey);
  addEventListener("click", handleClick);
  colourBrowserBar();
  // One after the other, so that a long page answers in between
  for (const setUp of [
    followScroll, furnishSections, makeImagesZoom, makeOneStopOfCode, setUpCards, makeScrollersFocusable,
  ]) setTimeout(setUp);
  if (document.readyState === "complete") offerSearch();
  else addEventListener("load", offerSearch);
})();
