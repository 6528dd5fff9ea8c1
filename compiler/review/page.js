"use strict";
(function () {
  const search = document.getElementById("_search");
  const found = document.getElementById("_found");
  const steps = Array.from(document.querySelectorAll("details.step"));
  const rows = Array.from(document.querySelectorAll("tr.row"));
  const summary = document.querySelector("section.summary");
  const stages = Array.from(document.querySelectorAll("section.stage"));
  const text = new Map();
  for (const e of steps) text.set(e, (e.id + " " + e.textContent + " " + (e.dataset.cscs || "")).toLowerCase());
  for (const e of rows) text.set(e, e.textContent.toLowerCase());

  function show() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (e) => words.every((w) => text.get(e).includes(w));
    for (const e of steps.concat(rows)) e.classList.toggle("hidden", !fits(e));
    for (const s of stages) {
      const inside = steps.concat(rows).filter((e) => s.contains(e));
      s.classList.toggle("hidden", words.length > 0 && inside.every((e) => e.classList.contains("hidden")));
      const graph = s.querySelector(".graph");
      if (graph) graph.classList.toggle("hidden", words.length > 0);
    }
    summary.classList.toggle("hidden", words.length > 0);
    const n = steps.filter((e) => !e.classList.contains("hidden")).length;
    found.textContent = words.length === 0 ? "" : n + (n === 1 ? " step" : " steps");
  }

  function go() {
    const id = decodeURIComponent(location.hash.slice(1));
    const target = id && document.getElementById(id);
    for (const e of steps) e.classList.remove("shown");
    if (!target) return;
    if (target.closest(".hidden")) {
      search.value = "";
      show();
    }
    if (target.matches("details.step")) {
      target.open = true;
      target.classList.add("shown");
    }
    target.scrollIntoView({ block: "start" });
  }

  let before = [];
  function all(open) {
    for (const e of steps) e.open = open;
  }
  search.addEventListener("input", show);
  search.addEventListener("keydown", (e) => {
    if (e.key === "Escape") {
      search.value = "";
      show();
    }
  });
  document.addEventListener("keydown", (e) => {
    if (e.key === "/" && document.activeElement !== search) {
      e.preventDefault();
      search.focus();
    }
  });
  document.getElementById("_open").addEventListener("click", () => all(true));
  document.getElementById("_close").addEventListener("click", () => all(false));
  window.addEventListener("beforeprint", () => {
    before = Array.from(document.querySelectorAll("details:not([open])"));
    for (const e of before) e.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const e of before) e.open = false;
  });
  window.addEventListener("hashchange", go);
  go();
})();
