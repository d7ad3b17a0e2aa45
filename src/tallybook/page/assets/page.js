"use strict";
// What a page cannot do without a script: refresh itself, tell what is under the pointer, copy, draw a PNG, change the theme.
(() => {
  const main = () => document.getElementById("main");
  const tip = document.getElementById("tip");
  const base = new URL(".", location.href).href;

  // Values on hover, on focus, and on a first touch

  function tell(mark, x, y) {
    const title = document.createElement("b");
    title.textContent = mark.dataset.title;
    const list = document.createElement("dl");
    for (const line of (mark.dataset.told || "").split("\n").filter(Boolean)) {
      for (const [place, text] of line.split("\t").entries()) {
        const part = document.createElement(place ? "dd" : "dt");
        part.textContent = text;
        list.append(part);
      }
    }
    tip.replaceChildren(title, list);
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const left = x + 16 + width > innerWidth ? Math.max(4, x - 16 - width) : x + 16;
    const top = Math.max(4, Math.min(y - height / 2, innerHeight - height - 4));
    tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }

  const marked = (event) => event.target.closest && event.target.closest("[data-title]");
  let isTouch = false;
  let touched = "";

  document.addEventListener("pointerdown", (event) => {
    isTouch = event.pointerType === "touch";
    const mark = marked(event);
    if (isTouch && mark?.dataset.title !== touched) { tip.hidden = true; touched = ""; }
  });
  document.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    const mark = marked(event);
    if (mark) tell(mark, event.clientX, event.clientY);
    else tip.hidden = true;
  });
  document.addEventListener("click", (event) => {
    const mark = isTouch && event.detail && marked(event);
    if (!mark || mark.dataset.title === touched) return;
    event.preventDefault();
    touched = mark.dataset.title;
    tell(mark, event.clientX, event.clientY);
  });
  document.addEventListener("focusin", (event) => {
    const mark = marked(event);
    if (!mark || !mark.matches(":focus-visible")) { tip.hidden = true; return; }
    const box = mark.getBoundingClientRect();
    tell(mark, box.right, box.top + box.height / 2);
  });

  // Keys: a chart has its columns in one row, the calendar its weeks beside each other and their days one below the other

  const steps = {
    chart: { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity },
    calendar: { ArrowLeft: -7, ArrowRight: 7, ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity },
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") tip.hidden = true;
    const mark = marked(event);
    const picture = mark?.closest("svg");
    if (!picture || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const step = steps[picture.classList.contains("calendar") ? "calendar" : "chart"][event.key];
    if (!step) return;
    event.preventDefault();
    const marks = [...picture.querySelectorAll("[data-title]")];
    const place = marks.indexOf(mark) + step;
    const next = Number.isFinite(step) ? marks[place] : marks.at(step < 0 ? 0 : -1);
    if (next) next.focus();
  });

  // The same page with something changed, without a reload

  const parts = ["nav", "standing", "main"];
  const written = new Map(parts.map((id) => [id, document.getElementById(id).outerHTML]));
  const bare = (url) => String(url).replace(/#.*/, "");
  let here = bare(location.href);
  let asking = null;

  // Whatever was asked before is no longer wanted: the last click wins, and a refresh never undoes it.
  async function read(url) {
    asking?.abort();
    const turn = asking = new AbortController();
    const asked = new URL(url, base);
    asked.searchParams.set("part", "main");
    try {
      const answer = await fetch(asked, { credentials: "same-origin", cache: "no-cache", signal: turn.signal });
      if (answer.redirected || answer.status === 401) location.reload();
      return answer.ok && !answer.redirected ? await answer.text() : null;
    } finally {
      if (asking === turn) asking = null;
    }
  }

  function show(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const restore = remember();
    document.title = fresh.title;
    main().removeAttribute("aria-busy");
    const changed = parts.filter((id) => fresh.getElementById(id).outerHTML !== written.get(id));
    for (const id of changed) {
      const part = fresh.getElementById(id);
      written.set(id, part.outerHTML);
      document.getElementById(id).replaceWith(part);
    }
    if (changed.includes("main")) prepare();
    restore();
  }

  // What tells a control from others: its id or its name, in a picture the day it stands for, and else what it shows.
  // Never where a link leads: that changes with each choice, and of the chosen ones all lead to where one is already.
  const key = (element) => element.id || (element.closest("svg")
    ? element.getAttribute("href") || element.dataset.title : element.name || element.innerHTML);

  // The kinds of place that it is in, from the inside: the same word stands in a switch, a heading and a row.
  function place(element) {
    const names = [];
    for (let each = element.parentElement; each; each = each.parentElement) {
      const isPart = each.matches("thead, tbody");
      const label = each.id || (isPart ? each.localName : !each.matches("svg") && each.getAttribute("aria-label"));
      if (label) names.push(label);
    }
    return names.join("\n");
  }

  const among = (kind, where) => [...document.querySelectorAll(kind)].filter((each) => place(each) === where);
  const alike = (all, what) => all.filter((each) => key(each) === what);

  // Whether it is there and takes the focus, which what is hidden does not.
  function takes(element) {
    element?.focus({ preventScroll: true });
    return element === document.activeElement;
  }

  // Where the control that had the focus is gone, a neighbour in the same place gets it, or else the whole of the page:
  // whoever works by keyboard goes on from there and not from the top.
  function remember() {
    const scrolled = [...main().querySelectorAll(".scroll")].map((each) => each.scrollLeft);
    const focused = document.activeElement || document.body;
    const [kind, where, what] = [focused.localName, place(focused), key(focused)];
    const before = among(kind, where);
    const [nth, turn] = [before.indexOf(focused), alike(before, what).indexOf(focused)];
    return () => {
      [...main().querySelectorAll(".scroll")].forEach((each, index) => { each.scrollLeft = scrolled[index] || 0; });
      if (focused.isConnected) return;
      const now = among(kind, where);
      if (takes(alike(now, what)[turn]) || takes(now[Math.min(nth, now.length - 1)])) return;
      main().tabIndex = -1;
      takes(main());
    };
  }

  const isTyping = () => main().contains(document.activeElement) && document.activeElement.matches("input, select, textarea");
  const isSelecting = () => !getSelection().isCollapsed && getSelection().containsNode(main(), true);
  const isLeftAlone = () => !document.hidden && !isTyping() && !isSelecting();

  async function refresh() {
    if (asking || !isLeftAlone()) return;
    try {
      const html = await read(location.href);
      if (html !== null && isLeftAlone()) show(html);
    } catch { /* The server is away, or a click came first: what is shown stays, and the next turn tries again. */ }
  }

  (function turn() {
    const seconds = Number(main().dataset.every);
    setTimeout(async () => { if (seconds) await refresh(); turn(); }, (seconds || 5) * 1000);
  })();
  document.addEventListener("visibilitychange", () => { if (Number(main().dataset.every)) refresh(); });

  async function follow(url) {
    main().setAttribute("aria-busy", "true");
    try {
      const html = await read(url);
      if (html === null) throw new TypeError("not to be had in parts");
      history.pushState(null, "", url);
      here = bare(url);
      show(html);
    } catch (error) {
      if (error.name === "AbortError") return;
      main().removeAttribute("aria-busy");
      location.assign(url);
    }
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-swap]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button) return;
    event.preventDefault();
    follow(link.href);
  });
  addEventListener("popstate", () => { if (bare(location.href) !== here) location.reload(); });

  // A picture of the chart

  async function png(link) {
    const svg = await (await fetch(link.href)).text();
    const picture = new Image();
    const source = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
    picture.src = source;
    await picture.decode();
    const canvas = document.createElement("canvas");
    canvas.width = picture.naturalWidth * 2;
    canvas.height = picture.naturalHeight * 2;
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    URL.revokeObjectURL(source);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    const saved = document.createElement("a");
    saved.href = URL.createObjectURL(blob);
    saved.download = "tallybook.png";
    saved.click();
    setTimeout(() => URL.revokeObjectURL(saved.href), 10000);
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-png]");
    if (link) { event.preventDefault(); png(link); }
  });

  // Lines to copy

  function prepare() {
    for (const place of main().querySelectorAll("[data-url]")) place.textContent = base;
    for (const link of main().querySelectorAll("[data-png]")) link.hidden = false;
    for (const lines of navigator.clipboard ? main().querySelectorAll("pre") : []) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Copy";
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(lines.querySelector("code").textContent);
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      });
      lines.append(button);
    }
  }
  prepare();

  // Light, dark, or as the system has it

  const button = document.getElementById("theme");
  const themes = ["", "light", "dark"];
  const names = { "": "Theme: system", light: "Theme: light", dark: "Theme: dark" };
  let theme = document.documentElement.dataset.theme || "";
  function dress() {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    button.textContent = names[theme];
  }
  dress();
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    try { localStorage.setItem("tallybook-theme", theme); } catch { /* it holds for this page */ }
    dress();
  });
})();
