// Flame graphs of `--explain`: callers above, what they call below. All texts are set as text, never as markup.
(() => {
  "use strict";
  const source = document.getElementById("profiles");
  if (!source) return;
  const profiles = JSON.parse(source.textContent);
  const NS = "http://www.w3.org/2000/svg";
  const ROW = 20, GAP = 1, CHARACTER = 6.7, LEAST = 0.6;
  // Light fills that carry dark text in both themes.
  const FILLS = ["#f4c987", "#a9d3ef", "#9fdcc4", "#f2e58f", "#e6b8d2", "#c9c4ea", "#f0b79a", "#c6d9a4"];
  const RISE = [[253, 232, 214], [247, 178, 112], [225, 111, 36]];
  const FALL = [[222, 236, 247], [146, 197, 232], [62, 142, 200]];
  const SAME = "#d9dde3";

  const us = (value) => `${value.toFixed(2)} µs`;
  const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)} µs`;

  // ---- trees: nodes of both arms merged by function and file ----
  function node(name, file, line, parent) {
    return { name, file, line, parent, base: 0, candidate: 0, ownBase: 0, ownCandidate: 0, width: 0, children: new Map(), depth: parent ? parent.depth + 1 : 0 };
  }

  function tree(profile, state) {
    const root = node("all", "", 0, null);
    const column = state === "running" ? 2 : 3;
    for (const arm of ["base", "candidate"]) {
      const one = profile[arm];
      if (!one) continue;
      const places = [];
      const own = arm === "base" ? "ownBase" : "ownCandidate";
      for (const row of one.nodes) {
        const frame = one.frames[row[1]];
        const parent = row[0] < 0 ? root : places[row[0]] || root;
        const key = `${frame.function}\n${frame.file}`;
        if (!parent.children.has(key)) parent.children.set(key, node(frame.function, frame.file, frame.line, parent));
        const place = parent.children.get(key);
        place[own] += row[column];
        places.push(place);
      }
    }
    return root;
  }

  // The width of a node: its time in the shown arm, or the larger of both arms for the difference.
  function measure(at, view) {
    at.base = at.ownBase;
    at.candidate = at.ownCandidate;
    at.width = view === "base" ? at.ownBase : view === "candidate" ? at.ownCandidate : Math.max(at.ownBase, at.ownCandidate);
    for (const child of at.children.values()) {
      measure(child, view);
      at.base += child.base;
      at.candidate += child.candidate;
      at.width += child.width;
    }
  }

  function place(at, x) {
    at.x = x;
    let next = x;
    for (const child of [...at.children.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))) {
      place(child, next);
      next += child.width;
    }
  }

  function flat(at, into = []) {
    into.push(at);
    for (const child of [...at.children.values()].sort((a, b) => a.x - b.x)) flat(child, into);
    return into;
  }

  const packageOf = (file) => (file.startsWith("python/") ? "python" : file.startsWith("/") || file.startsWith("./") || file.startsWith("<") ? "app" : file.split("/")[0]);

  function fill(at, view, whole, largest) {
    if (view === "difference") {
      const change = at.candidate - at.base;
      if (Math.abs(change) < whole * 0.005) return SAME;
      const shades = change > 0 ? RISE : FALL;
      const position = Math.min(1, Math.abs(change) / largest) * (shades.length - 1);
      const [low, high] = [shades[Math.floor(position)], shades[Math.ceil(position)]];
      const mixed = low.map((part, i) => Math.round(part + (high[i] - part) * (position % 1)));
      return `rgb(${mixed.join(",")})`;
    }
    if (!at.file) return SAME;
    let hash = 0;
    for (const c of packageOf(at.file)) hash = (hash * 31 + c.charCodeAt(0)) >>> 0;
    return FILLS[hash % FILLS.length];
  }

  function describe(at, view, whole) {
    const where = at.file ? ` (${at.file}:${at.line})` : "";
    const share = whole > 0 ? ` ${((100 * at.width) / whole).toFixed(1)} %` : "";
    if (view === "difference") return `${at.name}${where}: base ${us(at.base)}, candidate ${us(at.candidate)}, ${signed(at.candidate - at.base)}`;
    const own = view === "base" ? at.ownBase : at.ownCandidate;
    return `${at.name}${where}: ${us(at.width)}${share}, itself ${us(own)}`;
  }

  function graph(box) {
    const profile = profiles[Number(box.dataset.profile)];
    const canvas = box.querySelector(".graph");
    const status = box.querySelector(".status");
    const reset = box.querySelector("[data-reset]");
    const search = box.querySelector("input");
    const views = [...box.querySelectorAll("[data-view]")];
    const states = [...box.querySelectorAll("[data-state]")];
    let view = profile.base ? "difference" : "candidate";
    let state = "running";
    let root, nodes, focus, current;
    const shown = new Map();

    function build() {
      root = tree(profile, state);
      measure(root, view);
      place(root, 0);
      nodes = flat(root).filter((at) => at.width > 0 || at === root);
      focus = root;
      current = root;
      draw();
    }

    const inside = (at, ancestor) => {
      for (let next = at; next; next = next.parent) if (next === ancestor) return true;
      return false;
    };

    function draw() {
      const width = Math.max(280, canvas.clientWidth);
      const scale = focus.width > 0 ? width / focus.width : 0;
      const words = search.value.trim().toLowerCase();
      const whole = root.width;
      const largest = Math.max(whole * 0.02, ...nodes.map((at) => Math.abs(at.candidate - at.base)).filter((change, i) => nodes[i] !== root));
      const svg = document.createElementNS(NS, "svg");
      shown.clear();
      let deepest = 0, found = 0;
      for (const at of nodes) {
        const isAncestor = at !== focus && inside(focus, at);
        if (!isAncestor && !inside(at, focus)) continue;
        const x = isAncestor ? 0 : (at.x - focus.x) * scale;
        const w = isAncestor ? width : at.width * scale;
        const isHit = words !== "" && `${at.name} ${at.file}`.toLowerCase().includes(words);
        if (isHit) {
          let outer = at.parent;
          while (outer && !`${outer.name} ${outer.file}`.toLowerCase().includes(words)) outer = outer.parent;
          if (!outer) found += at.width;
        }
        if (w < LEAST && at !== root) continue;
        deepest = Math.max(deepest, at.depth);
        const group = document.createElementNS(NS, "g");
        const text = describe(at, view, whole);
        group.setAttribute("class", `frame${isAncestor ? " outer" : ""}${isHit ? " hit" : ""}${words && !isHit ? " miss" : ""}`);
        group.setAttribute("tabindex", at === current ? "0" : "-1");
        group.setAttribute("role", "button");
        group.setAttribute("aria-label", text);
        const rect = document.createElementNS(NS, "rect");
        const y = at.depth * (ROW + GAP);
        for (const [name, value] of Object.entries({ x, y, width: Math.max(LEAST, w - GAP), height: ROW, rx: 2, fill: fill(at, view, whole, largest) })) rect.setAttribute(name, String(value));
        const title = document.createElementNS(NS, "title");
        title.textContent = text;
        group.append(title, rect);
        const room = Math.floor((w - 8) / CHARACTER);
        if (room >= 3) {
          const label = document.createElementNS(NS, "text");
          label.setAttribute("x", String(x + 4));
          label.setAttribute("y", String(y + 14));
          const change = at.candidate - at.base;
          const mark = view === "difference" && Math.abs(change) >= whole * 0.005 ? (change > 0 ? "+ " : "− ") : "";
          const name = mark + at.name;
          label.textContent = name.length > room ? `${name.slice(0, room - 1)}…` : name;
          group.append(label);
        }
        group.addEventListener("click", () => zoom(at));
        group.addEventListener("focus", () => { current = at; say(at); });
        group.addEventListener("mouseenter", () => say(at));
        shown.set(at, group);
        svg.append(group);
      }
      svg.setAttribute("width", String(width));
      svg.setAttribute("height", String((deepest + 1) * (ROW + GAP)));
      canvas.replaceChildren(svg);
      reset.hidden = focus === root;
      if (words) status.textContent = `${search.value.trim()}: ${us(found)}, ${whole > 0 ? ((100 * found) / whole).toFixed(1) : "0.0"} % of what is shown`;
      else if (whole === 0) status.textContent = "Nothing was sampled in this state.";
      else say(focus);
      for (const button of views) button.setAttribute("aria-pressed", String(button.dataset.view === view));
      for (const button of states) button.setAttribute("aria-pressed", String(button.dataset.state === state));
    }

    const say = (at) => { if (!search.value.trim() || at !== focus) status.textContent = describe(at, view, root.width); };

    function zoom(at) {
      const had = canvas.contains(document.activeElement);
      focus = at;
      current = at;
      draw();
      if (had && shown.has(at)) shown.get(at).focus();
    }

    function move(to) {
      if (!to || !shown.has(to)) return;
      shown.get(current)?.setAttribute("tabindex", "-1");
      current = to;
      shown.get(to).setAttribute("tabindex", "0");
      shown.get(to).focus();
    }

    canvas.addEventListener("keydown", (event) => {
      const children = (at) => [...at.children.values()].filter((child) => shown.has(child)).sort((a, b) => a.x - b.x);
      const sibling = (step) => {
        const all = current.parent ? children(current.parent) : [];
        return all[all.indexOf(current) + step];
      };
      const keys = {
        ArrowUp: () => move(current.parent),
        ArrowDown: () => move(children(current).sort((a, b) => b.width - a.width)[0]),
        ArrowLeft: () => move(sibling(-1)),
        ArrowRight: () => move(sibling(1)),
        Enter: () => zoom(current),
        " ": () => zoom(current),
        Escape: () => zoom(root),
      };
      if (!keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
    });
    for (const button of views) button.addEventListener("click", () => { view = button.dataset.view; build(); });
    for (const button of states) button.addEventListener("click", () => { state = button.dataset.state; build(); });
    search.addEventListener("input", draw);
    reset.addEventListener("click", () => zoom(root));
    let drawn = 0;
    new ResizeObserver(() => {
      if (Math.abs(canvas.clientWidth - drawn) > 1) { drawn = canvas.clientWidth; draw(); }
    }).observe(canvas);
    build();
    drawn = canvas.clientWidth;
  }

  const watcher = new IntersectionObserver((seen) => {
    for (const one of seen) if (one.isIntersecting) { watcher.unobserve(one.target); graph(one.target); }
  }, { rootMargin: "600px" });
  for (const box of document.querySelectorAll(".flame")) watcher.observe(box);
})();
