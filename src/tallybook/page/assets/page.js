"use strict";
// What a page cannot do without a script: refresh itself, tell what is under the pointer, copy, draw a PNG, change the theme.
(() => {
  const main = document.getElementById("main");
  const tip = document.getElementById("tip");
  const base = new URL(".", location.href).href;

  // Values on hover and focus

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

  document.addEventListener("pointermove", (event) => {
    const mark = marked(event);
    if (mark) tell(mark, event.clientX, event.clientY);
    else tip.hidden = true;
  });
  document.addEventListener("focusin", (event) => {
    const mark = marked(event);
    if (!mark || !mark.matches(":focus-visible")) { tip.hidden = true; return; }
    const box = mark.getBoundingClientRect();
    tell(mark, box.right, box.top + box.height / 2);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") tip.hidden = true;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const mark = step && marked(event);
    if (!mark) return;
    const marks = [...mark.parentNode.querySelectorAll("[data-title]")];
    const next = marks[marks.indexOf(mark) + step];
    if (next) { next.focus(); event.preventDefault(); }
  });

  // The same page with something changed, without a reload

  let shown = main.innerHTML;

  async function read(url) {
    const asked = new URL(url, base);
    asked.searchParams.set("part", "main");
    const answer = await fetch(asked, { credentials: "same-origin", cache: "no-cache" });
    if (answer.redirected || answer.status === 401) { location.reload(); return null; }
    return answer.ok ? answer : null;
  }

  async function show(answer) {
    const html = await answer.text();
    if (html === shown) return;
    const focused = document.activeElement && main.contains(document.activeElement) ? place(document.activeElement) : null;
    const scrolled = [...main.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
    main.innerHTML = html;
    shown = html;
    main.dataset.view = answer.headers.get("X-View");
    main.dataset.every = answer.headers.get("X-Every");
    document.title = decodeURIComponent(answer.headers.get("X-Title") || document.title);
    [...main.querySelectorAll(".scroll")].forEach((each, index) => { each.scrollLeft = scrolled[index] || 0; });
    if (focused) main.querySelector(focused)?.focus({ preventScroll: true });
    prepare();
  }

  function place(element) {
    if (element.id) return `#${CSS.escape(element.id)}`;
    const name = element.getAttribute("name");
    if (name) return `[name="${CSS.escape(name)}"]`;
    const href = element.getAttribute("href");
    return href ? `a[href="${CSS.escape(href)}"]` : "never";
  }

  const isTyping = () => main.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");

  async function refresh() {
    if (document.hidden || isTyping()) return;
    try {
      const answer = await read(location.href);
      if (answer) await show(answer);
    } catch { /* The server is away: what is shown stays, and the next turn tries again. */ }
  }

  (function turn() {
    const seconds = Number(main.dataset.every);
    setTimeout(async () => { if (seconds) await refresh(); turn(); }, (seconds || 5) * 1000);
  })();
  document.addEventListener("visibilitychange", () => { if (Number(main.dataset.every)) refresh(); });

  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-swap]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    try {
      const answer = await read(link.href);
      if (!answer) { location.assign(link.href); return; }
      history.pushState(null, "", link.href);
      await show(answer);
    } catch { location.assign(link.href); }
  });
  addEventListener("popstate", () => location.reload());

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
    for (const place of main.querySelectorAll("[data-url]")) place.textContent = base;
    for (const link of main.querySelectorAll("[data-png]")) link.hidden = false;
    for (const lines of navigator.clipboard ? main.querySelectorAll("pre") : []) {
      if (lines.querySelector("button")) continue;
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
  shown = main.innerHTML;

  // Light, dark, or as the system has it

  const button = document.getElementById("theme");
  const themes = ["", "light", "dark"];
  const names = { "": "Theme: system", light: "Theme: light", dark: "Theme: dark" };
  function dress(theme) {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    button.textContent = names[theme];
  }
  let theme = "";
  try { theme = localStorage.getItem("tallybook-theme") || ""; } catch { /* without storage it is the system's */ }
  dress(themes.includes(theme) ? theme : "");
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    try { localStorage.setItem("tallybook-theme", theme); } catch { /* it holds for this page */ }
    dress(theme);
  });
})();
