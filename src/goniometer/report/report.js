"use strict";
// Draws the charts, lets menus choose what they show, sorts tables. Every text is set as text.
(() => {
  const { bases, charts } = JSON.parse(document.getElementById("charts").textContent);
  const views = new Map();
  const tip = document.getElementById("tip");

  const element = (tag, text, properties = {}) =>
    Object.assign(document.createElement(tag), { textContent: text }, properties);

  const shown = (value) =>
    typeof value === "number" ? String(Number(value.toPrecision(4))).replace("-", "\u2212") : String(value ?? "");

  function tooltip(_, event, __, value) {
    tip.hidden = value === null || typeof value !== "object";
    if (tip.hidden) return;
    tip.replaceChildren(
      ...Object.entries(value).flatMap(([key, found]) => [element("dt", key), element("dd", shown(found))]),
    );
    const { width, height } = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, document.documentElement.clientWidth - width - 8);
    const below = event.clientY + 16 + height < window.innerHeight;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${below ? event.clientY + 16 : event.clientY - height - 12}px`;
  }

  // A chart is the specification of its kind with its own data, signals and height filled in.
  function specification({ base, data, signals, height, padding }) {
    const spec = { ...structuredClone(bases[base]), height, padding };
    for (const signal of spec.signals) if (signal.name in signals) signal.value = signals[signal.name];
    for (const table of spec.data) if (table.name in data) table.values = data[table.name];
    return spec;
  }

  async function draw(box) {
    const options = { mode: "vega", tooltip, renderer: "svg", actions: false, defaultStyle: false };
    // Vega gives the element that it draws in a role of its own.
    const { view } = await vegaEmbed(box.firstElementChild, specification(charts[box.dataset.chart]), options);
    // A name on the matrix's diagonal may reach beyond it, by more the narrower its cell is drawn.
    if (box.dataset.chart === "matrix") for (let i = 0; i < 3; i++) await view.resize().runAsync();
    views.set(box, view);
  }

  const boxesOf = (menu) =>
    menu.dataset.drives.split(" ").flatMap((grid) => [...document.querySelectorAll(`[data-grid="${grid}"]`)]);

  function between(lows, highs) {
    return lows.map((low, i) => (low === null ? "\u2013" : `${shown(low)} to ${shown(highs[i])}`));
  }

  // The numbers of a grid at the menu's choice: readings, then the floors and nulls beside them.
  function numbersOf(boxes, pick) {
    const rows = [];
    for (const box of boxes) {
      const { data, signals } = charts[box.dataset.chart];
      const mine = data.lines.filter((row) => row.p === pick);
      for (const row of mine) {
        const head = mine.length > 1 ? `${signals.heading}: ${signals.names[row.m]}` : signals.heading;
        const reason = row.n ? row.n.join(" ") : "undefined";
        rows.push([head, row.v.map((v) => (v === null ? reason : shown(v))), "reading"]);
      }
      for (const row of data.bands)
        if (row.g === null || row.g === signals.groups[pick])
          rows.push([row.t, between(row.lo, row.hi), "beside"]);
    }
    return rows;
  }

  function tabulate(details, boxes, menu) {
    const { xs } = charts[boxes[0].dataset.chart].signals;
    const table = document.createElement("table");
    const label = menu.labels[0].textContent.trim();
    table.append(element("caption", `${label}: ${menu.selectedOptions[0].textContent}`));
    const head = table.createTHead().insertRow();
    for (const text of ["", ...xs]) head.append(element("th", text, { scope: "col" }));
    const body = table.createTBody();
    for (const [name, values, kind] of numbersOf(boxes, menu.selectedIndex)) {
      const row = body.insertRow();
      row.className = kind;
      row.append(element("th", name, { scope: "row" }), ...values.map((value) => element("td", value)));
    }
    details.querySelector(".scroll").replaceChildren(table);
  }

  async function choose(menu) {
    const boxes = boxesOf(menu);
    const text = menu.selectedOptions[0].textContent;
    await Promise.all(boxes.map((box) => views.get(box).signal("pick", menu.selectedIndex).runAsync()));
    for (const box of boxes) box.setAttribute("aria-label", `${charts[box.dataset.chart].description} ${text}`);
    for (const details of document.querySelectorAll("details[data-numbers]")) {
      const own = boxes.filter((box) => box.dataset.grid === details.dataset.numbers);
      if (own.length) tabulate(details, own, menu);
    }
  }

  function sort(button) {
    const head = button.closest("th");
    const body = head.closest("table").tBodies[0];
    const falling = head.getAttribute("aria-sort") === "descending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falling ? "ascending" : "descending");
    const key = (row) => {
      const found = /-?[\d.]+(e[+-]?\d+)?/.exec(row.cells[head.cellIndex].textContent.replaceAll("\u2212", "-"));
      return found ? Number(found[0]) : -Infinity;
    };
    const rows = [...body.rows].sort((a, b) => (falling ? key(a) - key(b) : key(b) - key(a)));
    body.append(...rows);
  }

  // A row stays where it has every word that was typed, in its head or its verdict.
  function filter(input) {
    const body = document.getElementById(input.dataset.filters).closest("table").tBodies[0];
    const words = input.value.toLowerCase().split(/[\s,]+/).filter(Boolean);
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  }

  async function start() {
    await Promise.all([...document.querySelectorAll("[data-chart]")].map(draw));
    for (const menu of document.querySelectorAll("select[data-drives]")) {
      menu.addEventListener("change", () => choose(menu));
      await choose(menu);
    }
    for (const button of document.querySelectorAll("th button"))
      button.addEventListener("click", () => sort(button));
    for (const input of document.querySelectorAll("input[data-filters]"))
      input.addEventListener("input", () => filter(input));
    window.addEventListener("beforeprint", () => {
      for (const details of document.querySelectorAll("details.printed")) details.open = true;
    });
    document.documentElement.dataset.drawn = String(views.size);
  }
  start();
})();
