"use strict";
// Keys for what can be done by links and boxes, too.
(() => {
  const places = { o: "/", b: "/buckets", c: "/campaigns", k: "/kernel", r: "/rules", d: "/defects", h: "/history" };
  const writing = (element) => element.matches("input:not([type=checkbox]), select, textarea, [contenteditable]");
  const lines = () => [...document.querySelectorAll("table[data-rows] tbody tr")];
  let going = false;

  const step = (by) => {
    const all = lines();
    if (!all.length) return;
    const old = all.findIndex((row) => row.classList.contains("at"));
    const next = Math.min(all.length - 1, Math.max(0, old < 0 ? 0 : old + by));
    if (old >= 0) all[old].classList.remove("at");
    all[next].classList.add("at");
    const link = all[next].querySelector("a");
    if (link) link.focus({ preventScroll: true });
    all[next].scrollIntoView({ block: "nearest" });
  };

  const acts = {
    "/": () => document.getElementById("search").focus(),
    "?": () => document.getElementById("keys").showModal(),
    j: () => step(1),
    k: () => step(-1),
    x: () => document.querySelector("tr.at input[type=checkbox]")?.click(),
    n: () => document.querySelector("a[rel=next]")?.click(),
    p: () => document.querySelector("a[rel=prev]")?.click(),
    g: () => { going = true; },
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (writing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const act = going && places[event.key] ? () => { location.href = places[event.key]; } : acts[event.key];
    going = false;
    if (!act) return;
    event.preventDefault();
    act();
  });

  // One box ticks all, where there is a script to do it.
  const reveal = () => { for (const box of document.querySelectorAll("#all")) box.hidden = false; };
  document.addEventListener("change", (event) => {
    if (event.target.id !== "all") return;
    for (const box of document.querySelectorAll("input[name=bucket]")) box.checked = event.target.checked;
  });
  document.addEventListener("htmx:afterSettle", reveal);
  document.getElementById("keys-hint").hidden = false;
  reveal();
})();
