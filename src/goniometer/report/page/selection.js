  // What is chosen on the page, a pair of runs and a layer: everything that can show it follows.
  const selection = { a: "", b: "", layer: "" };
  const listeners = [];
  let turn = 0;

  const ofPair = (a, b) =>
    Boolean(a) && ((a === selection.a && b === selection.b) || (a === selection.b && b === selection.a));
  const pairMenus = () => [...document.querySelectorAll("select[data-pairs]")];
  const layerMenu = () => document.getElementById("chosen-layer");

  // The menus whose pair it is now; one that does not offer the pair stays as it is.
  function setMenus() {
    for (const menu of pairMenus()) {
      const place = [...menu.options].findIndex(({ dataset }) => ofPair(dataset.a, dataset.b));
      if (place >= 0) menu.selectedIndex = place;
      else if (menu.id === "chosen-pair") menu.selectedIndex = 0;
    }
    if (layerMenu()) layerMenu().value = selection.layer;
  }

  function markRows() {
    for (const button of document.querySelectorAll("button.pick")) {
      const mine = ofPair(button.dataset.a, button.dataset.b);
      if (mine === (button.getAttribute("aria-pressed") === "true")) continue;
      button.setAttribute("aria-pressed", String(mine));
      button.closest("tr").classList.toggle("chosen", mine);
    }
  }

  // Signals that a chart takes from the selection: its choice, the mark of the pair, the layer.
  function signalsOf(box) {
    const { signals, data } = charts[box.dataset.chart];
    const menu = pairMenus().find((one) => one.dataset.drives?.split(" ").includes(box.dataset.grid));
    const found = menu ? picked(box, menu.selectedIndex) : {};
    if ("who" in signals) found.who = Object.values(data).flat().find((row) => ofPair(row.a, row.b))?.k ?? null;
    if ("at" in signals) found.at = selection.layer || null;
    return [found, menu];
  }

  async function follow(box) {
    const [signals, menu] = signalsOf(box);
    await update(box, signals);
    if (menu) describe(box, menu);
  }

  function inSight(box) {
    const { top, bottom } = box.getBoundingClientRect();
    return bottom > 0 && top < window.innerHeight;
  }

  function words() {
    const pair = selection.a ? `${selection.a} and ${selection.b}` : "";
    const layer = selection.layer ? `layer ${selection.layer}` : "";
    return [pair, layer].filter(Boolean).join(", ");
  }

  function toHash() {
    const chosen = Object.entries(selection).filter(([, value]) => value);
    const hash = chosen.length ? `#${new URLSearchParams(chosen)}` : window.location.pathname;
    window.history.replaceState(null, "", hash);
  }

  // What is in sight follows at once and is announced; the rest right after, unless outrun.
  async function select(change, remember = true) {
    Object.assign(selection, change);
    const mine = ++turn;
    setMenus();
    markRows();
    const following = [...views.keys()].filter((box) => {
      const { signals } = charts[box.dataset.chart];
      return "who" in signals || "at" in signals || "pick" in signals;
    });
    const seen = following.filter(inSight);
    await Promise.all(seen.map(follow));
    if (remember) toHash();
    document.getElementById("chosen").textContent = words() ? `Chosen: ${words()}.` : "Nothing is chosen.";
    for (const listener of listeners) listener();
    for (const menu of pairMenus()) if (menu.dataset.drives) tabulateOpen(menu);
    for (const box of following) {
      if (seen.includes(box)) continue;
      await new Promise((resolve) => setTimeout(resolve));
      if (mine !== turn) return;
      await follow(box);
    }
    document.documentElement.dataset.followed = String(mine);
  }

  function selectMark(box, datum) {
    const change = {};
    if (datum.a && datum.b) Object.assign(change, { a: datum.a, b: datum.b });
    const layers = layerMenu() ? [...layerMenu().options].map((option) => option.value) : [];
    if ("at" in charts[box.dataset.chart].signals && datum.x && layers.includes(datum.x)) change.layer = datum.x;
    if (Object.keys(change).length) select(change);
  }

  // A link that names a pair or a layer of this page opens it so; any other hash is a section's.
  function fromHash() {
    const asked = new URLSearchParams(window.location.hash.slice(1));
    const change = {};
    const [a, b, layer] = ["a", "b", "layer"].map((key) => asked.get(key) ?? "");
    const known = pairMenus().flatMap((menu) => [...menu.options]);
    if (known.some(({ dataset }) => (dataset.a === a && dataset.b === b) || (dataset.a === b && dataset.b === a)))
      if (a) Object.assign(change, { a, b });
    if (layer && layerMenu() && [...layerMenu().options].some((option) => option.value === layer)) change.layer = layer;
    return Object.keys(change).length ? select(change, false) : undefined;
  }

  function listenToSelection() {
    for (const menu of pairMenus())
      menu.addEventListener("change", () => {
        const { a = "", b = "" } = menu.selectedOptions[0].dataset;
        select({ a, b });
      });
    layerMenu()?.addEventListener("change", () => select({ layer: layerMenu().value }));
    for (const button of document.querySelectorAll("button.pick"))
      button.addEventListener("click", () => {
        const { a, b } = button.dataset;
        select(ofPair(a, b) ? { a: "", b: "" } : { a, b });
      });
    window.addEventListener("hashchange", fromHash);
  }
