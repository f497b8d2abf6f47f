  // Sorts and filters the tables, and starts everything.
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
      if (!("pairs" in menu.dataset)) menu.addEventListener("change", () => choose(menu));
      await choose(menu);
    }
    for (const details of document.querySelectorAll("details[data-numbers]"))
      details.addEventListener("toggle", () => details.open && tabulate(details));
    for (const button of document.querySelectorAll("main thead button"))
      button.addEventListener("click", () => sort(button));
    for (const input of document.querySelectorAll("input[data-filters]"))
      input.addEventListener("input", () => filter(input));
    listenToSelection();
    moduleTable();
    await fromHash();
    window.addEventListener("beforeprint", () => {
      for (const details of document.querySelectorAll("details.printed")) details.open = true;
    });
    document.documentElement.dataset.drawn = String(views.size);
  }
  start();
