/*
 * Copyright (c) 2026, the comfyops.fleet contributors
 * GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Everything that the page says is in its HTML; this sorts, searches, and shows what belongs together.
 */
"use strict";

const PACKAGE = "package:";
const panel = document.getElementById("panel");
const targets = new Map([...document.querySelectorAll(".target")].map((part) => [part.dataset.target, explorer(part)]));
let current = targets.values().next().value;
let opener = null;

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function chooser(text, name) {
  return element("button", { type: "button", "data-choose": name }, text);
}

/* What a target's part of the page can do. */
function explorer(part) {
  const data = JSON.parse(part.querySelector(".data").textContent);
  const table = part.querySelector(".packages");
  const rows = [...table.tBodies[0].rows];
  const graph = part.querySelector(".graph");
  const names = new Map([...graph.querySelectorAll("[data-choose]")].map((each) => [each.dataset.choose, each]));
  const lines = [...graph.querySelectorAll("path")];
  sorting(table, rows);
  searching(part, rows);
  walking(graph, [...names.values()]);

  function reached(start, from, to) {
    const seen = new Set([start]);
    for (const name of seen) for (const line of lines) if (line.dataset[from] === name) seen.add(line.dataset[to]);
    return seen;
  }

  function mark(name) {
    const above = name ? reached(name, "to", "from") : new Set();
    const below = name ? reached(name, "from", "to") : new Set();
    graph.classList.toggle("choosing", Boolean(name));
    for (const line of lines) {
      const { from, to } = line.dataset;
      line.classList.toggle("near", (above.has(from) && above.has(to)) || (below.has(from) && below.has(to)));
    }
    for (const [each, group] of names) group.classList.toggle("near", above.has(each) || below.has(each));
    for (const each of part.querySelectorAll(".chosen")) each.classList.remove("chosen");
    for (const each of part.querySelectorAll("g[data-choose]")) {
      each.classList.toggle("chosen", each.dataset.choose === name);
    }
    for (const row of rows) {
      row.classList.toggle("chosen", row.querySelector("[data-choose]").dataset.choose === name);
    }
    if (name && names.has(name)) showInside(graph.parentElement, names.get(name));
  }

  return { part, data, mark };
}

/* Scroll a box, and not the page, until a thing in it is in its middle. */
function showInside(box, thing) {
  const outer = box.getBoundingClientRect();
  const inner = thing.getBoundingClientRect();
  box.scrollBy(inner.left + inner.width / 2 - outer.left - outer.width / 2,
    inner.top + inner.height / 2 - outer.top - outer.height / 2);
}

function sorting(table, rows) {
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const isNumber = rows.length > 0 && rows[0].cells[column].dataset.value !== undefined;
    head.querySelector("button").addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const ascending = before ? before === "descending" : !isNumber;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      rows.sort((one, other) => {
        const order = isNumber ? value(one) - value(other) : collator.compare(value(one), value(other));
        return (ascending ? order : -order) || collator.compare(one.cells[0].textContent, other.cells[0].textContent);
      });
      table.tBodies[0].append(...rows);
    });
  });
}

function searching(part, rows) {
  const field = part.querySelector("input[type=search]");
  const source = part.querySelector("select");
  const count = part.querySelector("output");
  const words = new Map(rows.map((row) => [row, `${row.textContent.toLowerCase()} ${row.dataset.words}`]));
  const search = () => {
    const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const found = wanted.every((word) => words.get(row).includes(word));
      row.hidden = !found || (source.value !== "" && row.dataset.source !== source.value);
    }
    count.value = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
  };
  field.addEventListener("input", search);
  source.addEventListener("change", search);
  search();
}

/* Arrow keys move among the names of the drawing; one of them is in the order of the Tab key. */
function walking(graph, groups) {
  if (groups.length === 0) return;
  const middle = (group) => {
    const box = group.querySelector("rect");
    return { x: Number(box.getAttribute("x")), y: Number(box.getAttribute("y")) };
  };
  const step = {
    ArrowUp: (from, to) => to.x === from.x && to.y < from.y,
    ArrowDown: (from, to) => to.x === from.x && to.y > from.y,
    ArrowLeft: (from, to) => to.x < from.x,
    ArrowRight: (from, to) => to.x > from.x,
  };
  let stop = groups[0];
  stop.setAttribute("tabindex", "0");
  graph.addEventListener("focusin", (event) => {
    const group = event.target.closest("[data-choose]");
    if (!group) return;
    stop.setAttribute("tabindex", "-1");
    stop = group;
    stop.setAttribute("tabindex", "0");
  });
  graph.addEventListener("keydown", (event) => {
    const group = event.target.closest("[data-choose]");
    if (!group) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      choose(group.dataset.choose, group);
    }
    if (!step[event.key]) return;
    event.preventDefault();
    const from = middle(group);
    const distance = (to) => 1000 * Math.abs(to.x - from.x) + Math.abs(to.y - from.y);
    const there = groups.filter((each) => step[event.key](from, middle(each)));
    there.sort((one, other) => distance(middle(one)) - distance(middle(other)));
    if (there.length > 0) there[0].focus();
  });
}

/* Show one of the targets, and what is chosen in it, if anything. */
function show(target, name) {
  current = target;
  for (const each of targets.values()) {
    each.part.hidden = each !== target;
    each.mark(each === target ? name : null);
  }
  for (const button of document.querySelectorAll(".targets button")) {
    button.setAttribute("aria-pressed", String(button.dataset.target === target.part.dataset.target));
  }
  panel.hidden = !name;
  document.body.classList.toggle("choosing", Boolean(name));
  if (name) fill(target.data[name]);
}

function fill(details) {
  const content = document.getElementById("panel-content");
  document.getElementById("panel-title").textContent = details.title;
  const facts = element("dl", { class: "facts" });
  for (const [word, text] of details.facts) {
    facts.append(element("dt", {}, word), element("dd", { class: word === "SHA-256" ? "code" : "" }, text));
  }
  content.replaceChildren(facts, ...lists(details));
  panel.scrollTop = 0;
}

function* lists(details) {
  const list = (title, items) => [element("h3", {}, title), element("ul", {}, ...items)];
  const arrow = () => element("span", { class: "arrow" }, "\u2192");
  if (details.why?.length) {
    yield* list("Why it is here", details.why.map((steps) => element("li", {}, ...steps.flatMap(([text, name], place) =>
      place > 0 ? [arrow(), chooser(text, name)] : [chooser(text, name)]))));
  }
  if (details.limits?.length) {
    yield* list("Who says what of its version", details.limits.map(([end, who, line, name, unmeant]) =>
      element("li", {}, element("b", {}, end ? `${end}: ` : ""), chooser(who, name), " says ", element("code", {}, line),
        unmeant ? ` (does not count: ${unmeant})` : "")));
  }
  if (details.needs?.length) {
    yield* list(`What it asks for (${details.needs.length})`, details.needs.map(([line, name]) =>
      element("li", {}, chooser(line, name))));
  }
}

function choose(name, from) {
  if (!current.data[name]) return;
  if (from && !panel.contains(from)) opener = from;
  const shown = name.startsWith(PACKAGE) ? name.slice(PACKAGE.length) : name;
  history.replaceState(null, "", `#${encodeURIComponent(current.part.dataset.target)}/${encodeURIComponent(shown)}`);
  show(current, name);
  panel.focus({ preventScroll: true });
}

function close() {
  history.replaceState(null, "", `#${encodeURIComponent(current.part.dataset.target)}`);
  show(current, null);
  if (opener) opener.focus({ preventScroll: true });
}

/* The part of the address behind "#": a target, and what is chosen in it. */
function follow() {
  const [target, name] = location.hash.slice(1).split("/").map(decodeURIComponent);
  const found = targets.get(target) ?? current;
  const chosen = [`${PACKAGE}${name}`, name].find((each) => each && found.data[each]);
  show(found, chosen ?? null);
}

document.addEventListener("click", (event) => {
  const chosen = event.target.closest("[data-choose]");
  if (chosen) choose(chosen.dataset.choose, chosen);
  const target = event.target.closest(".targets button");
  if (target) {
    history.replaceState(null, "", `#${encodeURIComponent(target.dataset.target)}`);
    show(targets.get(target.dataset.target), null);
  }
  const theme = event.target.closest(".themes button");
  if (theme) {
    const isOn = theme.getAttribute("aria-pressed") === "true";
    for (const each of document.querySelectorAll(".themes button")) each.setAttribute("aria-pressed", "false");
    theme.setAttribute("aria-pressed", String(!isOn));
    if (isOn) delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme.dataset.theme;
  }
});
panel.querySelector(".close").addEventListener("click", close);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !panel.hidden) close();
  if (event.key === "/" && !event.target.closest("input, select")) {
    event.preventDefault();
    current.part.querySelector("input[type=search]").focus();
  }
});
window.addEventListener("hashchange", follow);
if (current) follow();
