// Draws the pictures, folds the tables that say the same, and hears the keys of the review. Everything works without it.
"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");

// Vega runs its expressions through an interpreter (ast), not through code made of text, which the page's policy forbids.
const LOOK = { mode: "vega-lite", renderer: "svg", actions: false, ast: true, defaultStyle: false, tooltip: { disableDefaultStyle: true } };

async function draw(place) {
  const width = Math.min(1200, Math.max(300, Math.floor(place.clientWidth)));
  if (place.drawn === `${width} ${dark.matches}` || !window.vegaEmbed) return;
  place.drawn = `${width} ${dark.matches}`;
  const address = `${place.dataset.address}&width=${width}&theme=${dark.matches ? "dark" : "light"}`;
  try {
    const reply = await fetch(address, { headers: { accept: "application/json" } });
    if (!reply.ok) throw new Error(reply.statusText);
    const spec = await reply.json();
    await window.vegaEmbed(place, spec, LOOK);
    place.querySelector("svg").setAttribute("aria-hidden", "true"); // said in one sentence here, and in the table below
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", spec.description || "");
  } catch (error) {
    place.hidden = true;
    place.parentElement.querySelector("details.table").open = true;
    console.error(error);
  }
}

async function pictures() {
  const places = document.querySelectorAll("[data-picture]");
  if (!places.length || !window.vegaEmbed) return;
  const shown = [];
  for (const place of places) {
    if ("wide" in place.dataset && place.parentElement.clientWidth < 480) continue;  // the table's bars say it better there
    place.hidden = false;
    const table = place.parentElement.querySelector("details.table");
    if (table) table.open = false;
    shown.push(place);
  }
  let wait = 0;
  const again = () => { clearTimeout(wait); wait = setTimeout(() => shown.forEach((each) => each.drawn && draw(each)), 200); };
  addEventListener("resize", again);
  dark.addEventListener("change", again);
  for (const place of shown) await draw(place);  // all of them, from the top: a page is printed without being scrolled
}

// A choice of brand or period shows at once; the button remains for those without a script.
function filters() {
  for (const select of document.querySelectorAll("form.filters[data-at-once] select")) {
    select.addEventListener("change", () => select.form.requestSubmit());
  }
}

// One key for each label, as in the terminal: what carries data-key is pressed by it.
function keys() {
  const form = document.querySelector("form.verdict");
  if (!form) return;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const at = event.target;
    if (at.matches("textarea, select, input:not([type=radio]):not([type=checkbox])")) return;
    if (event.key === "Enter" && at.matches("a, button, summary")) return;
    const key = event.key === "-" ? "−" : event.key;
    const place = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (!place) return;
    event.preventDefault();
    if (key === "Enter") form.requestSubmit(place);
    else place.click();
    if (place.matches("input")) place.focus({ preventScroll: true });
  });
}

addEventListener("DOMContentLoaded", () => { filters(); keys(); });
addEventListener("load", () => { pictures(); });
