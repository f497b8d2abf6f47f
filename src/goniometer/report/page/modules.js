  // The table of single modules: its data lie packed in the page, its rows are made when it is opened.
  const MOST_SHOWN = 200;

  function moduleTable() {
    const details = document.querySelector("details[data-modules]");
    if (!details) return;
    const [input, count, place] = ["input", ".count", ".scroll"].map((one) => details.querySelector(one));
    let data = null;
    let order = null; // [column, falling]

    // Rows as [first run, second run, module, values], of the chosen pair and layer where there are.
    function rows() {
      const wanted = input.value.toLowerCase().split(/[\s,]+/).filter(Boolean);
      const chosen = data.pairs.map(([i, j], p) => [data.runs[i], data.runs[j], p]);
      const mine = chosen.filter(([a, b]) => ofPair(a, b));
      const found = [];
      for (const [a, b, p] of mine.length ? mine : chosen)
        data.modules.forEach((module, m) => {
          if (selection.layer && data.layers[m] !== selection.layer) return;
          const text = `${a} ${b} ${module}`.toLowerCase();
          if (wanted.every((word) => text.includes(word)))
            found.push([a, b, module, data.values[p].map((values) => values[m])]);
        });
      if (order) {
        const [column, falling] = order;
        const key = ([, , , values]) => values[column] ?? -Infinity;
        found.sort((x, y) => (falling ? key(y) - key(x) : key(x) - key(y)));
      }
      return found;
    }

    const written = (value, degrees) =>
      value === null ? "undefined" : degrees ? `${value.toFixed(1)}\u00b0` : shown(value);

    function build() {
      const found = rows();
      const [table, body, head] = tableOf("Readings of single modules.", ["module", "pair"]);
      data.heads.forEach((text, column) => {
        const cell = element("th", "", { scope: "col", className: "number" });
        const button = element("button", text, { type: "button" });
        button.addEventListener("click", () => {
          order = [column, !(order?.[0] === column && order[1])];
          build();
          place.querySelectorAll("thead button")[column].focus();
        });
        if (order?.[0] === column) cell.setAttribute("aria-sort", order[1] ? "descending" : "ascending");
        cell.append(button);
        head.append(cell);
      });
      for (const [a, b, module, values] of found.slice(0, MOST_SHOWN)) {
        const row = body.insertRow();
        row.append(element("th", module, { scope: "row" }), element("td", `${a}, ${b}`, { className: "text" }));
        row.append(...values.map((value, column) => element("td", written(value, data.degrees[column]))));
      }
      place.replaceChildren(table);
      const of = words() ? ` of ${words()}` : "";
      const all = found.length > MOST_SHOWN ? `, the first ${MOST_SHOWN} shown` : "";
      count.textContent = `${found.length} rows${of}${all}.`;
    }

    function refresh() {
      if (details.open) build();
    }

    details.addEventListener("toggle", () => {
      data ??= JSON.parse(document.getElementById("modules").textContent);
      refresh();
    });
    input.addEventListener("input", refresh);
    listeners.push(refresh);
  }
