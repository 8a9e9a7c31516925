/*
 * Search: the words of the reader against titles, headings, names and prose, all in the page.
 *
 * `search-index.js` has put `{pages: [[url, title, summary]], sections: [[page, anchor, heading, text, names]]}`
 * into `window.sidebysideSearch`; this adds `open` to it.
 */
(() => {
  "use strict";

  const MAXIMUM_RESULTS = 30;
  const SNIPPET = 160;
  const WEIGHTS = { title: 16, heading: 8, names: 5, text: 1 };

  const index = window.sidebysideSearch;
  const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const escapeExpression = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

  /* Parts of a name count as words: `PatchEmbeddings` is found by `embed`, `patch_size` by `size`. */
  const splitNames = (names) => fold(`${names} ${names.replace(/([a-z\d])([A-Z])/g, "$1 $2").replace(/[_.]/g, " ")}`);

  const entries = [
    ...index.pages.map(([url, title, summary]) => ({
      url, page: title, heading: "", text: summary, names: [],
      fields: { title: fold(title), text: fold(summary) }, titleOfPage: "",
    })),
    ...index.sections.map(([number, anchor, heading, text, names]) => ({
      url: `${index.pages[number][0]}#${anchor}`, page: index.pages[number][1], heading, text, names: names.split(" "),
      fields: { heading: fold(heading), names: splitNames(names), text: fold(text) }, titleOfPage: fold(index.pages[number][1]),
    })),
  ];

  /* How well a word fits a field: whole words beat beginnings of words by a little, and what is inside a word does not count. */
  function fit(word, field) {
    for (let at = field.indexOf(word); at >= 0; at = field.indexOf(word, at + 1)) {
      if (at > 0 && /[\p{L}\p{N}]/u.test(field[at - 1]) && /[\p{L}\p{N}]/u.test(word[0])) continue;
      const after = field[at + word.length];
      return after === undefined || !/[\p{L}\p{N}_]/u.test(after) ? 5 : 4;
    }
    return 0;
  }

  /* Every word must be found. The title of the page may help out, but not alone: the page itself is an entry too. */
  function score(entry, words) {
    let total = 0;
    let isOwn = false;
    for (const word of words) {
      let best = 0;
      for (const [name, field] of Object.entries(entry.fields)) best = Math.max(best, WEIGHTS[name] * fit(word, field));
      isOwn ||= best > 0;
      best ||= fit(word, entry.titleOfPage);
      if (!best) return 0;
      total += best;
    }
    const title = entry.fields.heading ?? entry.fields.title;
    const isPhrase = fit(words.join(" "), title) > 0;
    return isOwn ? total * (isPhrase ? 2 : 1) : 0;
  }

  const wordsOf = (query) => fold(query).split(/\s+/).filter(Boolean);

  function find(query) {
    const words = wordsOf(query);
    if (!words.length) return [];
    return entries
      .map((entry) => ({ entry, score: score(entry, words) }))
      .filter((found) => found.score)
      .sort((a, b) => b.score - a.score)
      .slice(0, MAXIMUM_RESULTS)
      .map((found) => found.entry);
  }

  function marked(text, words) {
    const expression = new RegExp(`(?<![\\p{L}\\p{N}])(${words.map(escapeExpression).join("|")})`, "giu");
    const pieces = document.createDocumentFragment();
    let done = 0;
    for (const match of text.matchAll(expression)) {
      pieces.append(text.slice(done, match.index), Object.assign(document.createElement("mark"), { textContent: match[0] }));
      done = match.index + match[0].length;
    }
    pieces.append(text.slice(done));
    return pieces;
  }

  /* The part of the text around the first word that was found, cut at spaces */
  function snippet(text, words) {
    const places = words.map((word) => fold(text).search(new RegExp(`(?<![\\p{L}\\p{N}])${escapeExpression(word)}`, "u"))).filter((at) => at >= 0);
    let start = Math.max(0, Math.min(...(places.length ? places : [0])) - 50);
    if (start) start = text.indexOf(" ", start) + 1;
    let end = Math.min(text.length, start + SNIPPET);
    if (end < text.length) end = Math.max(text.lastIndexOf(" ", end), start + 1);
    return (start ? "… " : "") + text.slice(start, end) + (end < text.length ? " …" : "");
  }

  function make(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  function option(entry, words, root, number) {
    const title = make("strong", {}, marked(entry.heading || entry.page, words));
    const link = make("a", { role: "option", id: `search-${number}`, href: root + entry.url, tabindex: "-1", "aria-selected": "false" }, title);
    if (entry.heading && entry.heading !== entry.page) link.append(make("span", { class: "where" }, entry.page));
    const names = entry.names.filter((name) => words.some((word) => fit(word, splitNames(name)))).slice(0, 4);
    if (names.length) link.append(make("code", {}, marked(names.join("  "), words)));
    if (entry.text) link.append(make("span", { class: "snippet" }, marked(snippet(entry.text, words), words)));
    return link;
  }

  let dialog;

  function build(root) {
    const input = make("input", {
      type: "text", enterkeyhint: "go", role: "combobox", "aria-label": "Search", "aria-expanded": "false", "aria-controls": "search-results",
      "aria-autocomplete": "list", autocomplete: "off", spellcheck: "false", placeholder: "Search titles, names and text",
    });
    const list = make("div", { role: "listbox", id: "search-results", class: "results", "aria-label": "Results" });
    const status = make("p", { class: "status", role: "status" });
    const close = make("button", { type: "button", class: "close", "aria-label": "Close" }, "✕");
    dialog = make("dialog", { class: "search", "aria-label": "Search" }, input, close, list, status);
    let selected = -1;

    function select(number) {
      const options = list.children;
      options[selected]?.setAttribute("aria-selected", "false");
      selected = options.length ? (number + options.length) % options.length : -1;
      const link = options[selected];
      if (!link) return input.removeAttribute("aria-activedescendant");
      link.setAttribute("aria-selected", "true");
      link.scrollIntoView({ block: "nearest", behavior: "instant" });
      input.setAttribute("aria-activedescendant", link.id);
    }

    function update() {
      const words = wordsOf(input.value);
      const found = find(input.value);
      list.replaceChildren(...found.map((entry, number) => option(entry, words, root, number)));
      list.scrollTop = 0;
      input.setAttribute("aria-expanded", String(found.length > 0));
      selected = -1;
      select(0);
      const count = found.length === MAXIMUM_RESULTS ? `The best ${found.length} results` : `${found.length} result${found.length === 1 ? "" : "s"}`;
      status.textContent = !words.length ? "↑ ↓ to choose, Enter to go, Escape to close" : found.length ? count : `Nothing found for “${input.value.trim()}”`;
    }

    input.addEventListener("input", update);
    input.addEventListener("keydown", (event) => {
      const moves = { ArrowDown: selected + 1, ArrowUp: selected - 1 };
      if (event.key in moves) {
        event.preventDefault();
        select(moves[event.key]);
      } else if (event.key === "Enter" && !event.isComposing) {
        event.preventDefault();
        list.children[selected]?.click();
      } else if (event.key === "Escape") {
        event.preventDefault();
        dialog.close();
      }
    });
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", ({ target }) => {
      if (target === dialog || target.closest("a")) dialog.close();
    });
    document.body.append(dialog);
    update();
    return input;
  }

  index.find = find;
  index.open = (root) => {
    const input = dialog ? dialog.querySelector("input") : build(root);
    dialog.showModal();
    input.select();
  };
})();
