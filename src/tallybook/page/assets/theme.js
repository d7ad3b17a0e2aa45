"use strict";
// The theme that was chosen here, before anything is painted: the other script comes when the whole page is there.
try {
  const theme = localStorage.getItem("tallybook-theme");
  if (["light", "dark"].includes(theme)) document.documentElement.dataset.theme = theme;
} catch { /* Without storage it is the system's. */ }
