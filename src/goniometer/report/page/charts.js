  // Draws the charts and lets menus choose what they show. Every text is set as text.
  const { bases, charts } = JSON.parse(document.getElementById("charts").textContent);
  const views = new Map();
  const tip = document.getElementById("tip");

  const element = (tag, text, properties = {}) =>
    Object.assign(document.createElement(tag), { textContent: text }, properties);

  const shown = (value) =>
    typeof value === "number" ? String(Number(value.toPrecision(4))).replace("-", "\u2212") : String(value ?? "");

  const exact = (value) => String(value).replace("-", "\u2212");

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
    view.addEventListener("click", (_, item) => item?.datum && selectMark(box, item.datum));
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

  // The points of a path at the menu's choice: a row a position, a column a number measured there.
  function pointsOf(boxes, pick) {
    const columns = [];
    for (const box of boxes) {
      const { data, signals } = charts[box.dataset.chart];
      const mine = data.points.filter((row) => row.p === pick);
      const reason = mine.some(({ y }) => y !== null) ? "undefined" : "not measured";
      const put = (head, key, absent) => columns.push([head, mine.map((row) => row[key] ?? absent)]);
      if (!columns.length) put("position", "x", "");
      put(signals.heading, "y", reason);
      if (mine.some(({ lo }) => lo !== null)) {
        put("95 %, low", "lo", reason);
        put("95 %, high", "hi", reason);
      }
    }
    const heads = columns.map(([head]) => head);
    const [places, ...rest] = columns.map(([, values]) => values.map(exact));
    return [heads, places.map((place, i) => [place, rest.map((values) => values[i]), "reading"])];
  }

  function tableOf(caption, heads) {
    const table = document.createElement("table");
    table.append(element("caption", caption));
    const head = table.createTHead().insertRow();
    for (const text of heads) head.append(element("th", text, { scope: "col" }));
    return [table, table.createTBody(), head];
  }

  // Built when it is opened, and again when its menu changes while it is open.
  function tabulate(details) {
    const menu = document.querySelector(`select[data-drives~="${details.dataset.numbers}"]`);
    const boxes = boxesOf(menu).filter((box) => box.dataset.grid === details.dataset.numbers);
    const { data, signals } = charts[boxes[0].dataset.chart];
    const pick = menu.selectedIndex;
    const [heads, rows] = data.points
      ? pointsOf(boxes, pick)
      : [["reading", ...signals.xs], numbersOf(boxes, pick)];
    const label = menu.labels[0].textContent.trim();
    const [table, body] = tableOf(`${label}: ${menu.selectedOptions[0].textContent}`, heads);
    for (const [name, values, kind] of rows) {
      const row = body.insertRow();
      row.className = kind;
      row.append(element("th", name, { scope: "row" }), ...values.map((value) => element("td", value)));
    }
    details.querySelector(".scroll").replaceChildren(table);
  }

  function tabulateOpen(menu) {
    for (const details of document.querySelectorAll("details[data-numbers][open]"))
      if (menu.dataset.drives.split(" ").includes(details.dataset.numbers)) tabulate(details);
  }

  // Redraws a chart where one of its signals changed.
  async function update(box, signals) {
    const view = views.get(box);
    const changed = Object.entries(signals).filter(([name, value]) => view.signal(name) !== value);
    if (!changed.length) return;
    for (const [name, value] of changed) view.signal(name, value);
    await view.runAsync();
  }

  // A choice with what goes with it: the null group, and the ends of the scale where they differ.
  function picked(box, pick) {
    const { signals } = charts[box.dataset.chart];
    if (!("group" in signals)) return { pick };
    const [low, high] = [signals.lows, signals.highs].map((ends) => ends[ends.length > 1 ? pick : 0]);
    return { pick, group: signals.groups[pick] ?? null, low, high };
  }

  const describe = (box, menu) =>
    box.setAttribute("aria-label", `${charts[box.dataset.chart].description} ${menu.selectedOptions[0].textContent}`);

  async function choose(menu) {
    const boxes = boxesOf(menu);
    await Promise.all(boxes.map((box) => update(box, picked(box, menu.selectedIndex))));
    for (const box of boxes) describe(box, menu);
    tabulateOpen(menu);
  }
