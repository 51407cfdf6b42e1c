"use strict";
// Draws the charts from the data embedded in this file. The rest of the report is plain HTML and works without it.
(() => {
  const { palette, charts } = JSON.parse(document.getElementById("data").textContent);
  const PATHS = ["M11 2a4 4 0 1 1 0 8a4 4 0 1 1 0-8z", "M7 2h8v8h-8z", "M11 1l5 9h-10z", "M11 0l6 6-6 6-6-6z", "M6 2h10l-5 9z", "M9 1h4v3h3v4h-3v3h-4v-3h-3v-4h3z", "M8 1l3 3 3-3 2 2-3 3 3 3-2 2-3-3-3 3-2-2 3-3-3-3z"];
  const SYMBOLS = ["circle", "rect", "triangle", "diamond", ...PATHS.slice(4).map((path) => `path://${path}`)];
  const DASHES = ["solid", "dashed", "dotted"];
  const live = new Map();
  const root = document.documentElement;
  const reduced = matchMedia("(prefers-reduced-motion: reduce)").matches;

  // ---- formatting: same rounding as the rest of the report ----
  const group = (n) => String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  const significant = (v) => {
    const a = Math.abs(v);
    if (a >= 999.95) return group(Math.round(v));
    if (a >= 99.995) return v.toFixed(1);
    if (a >= 9.9995) return v.toFixed(2);
    return a >= 0.99995 || a === 0 ? v.toFixed(3) : v.toFixed(4);
  };
  const scaled = (v, steps) => {
    let unit = steps[0];
    for (const step of steps) if (Math.abs(v) >= step[0]) unit = step;
    return significant(v / unit[0]) + " " + unit[1];
  };
  const TIMES = [[1, "ns"], [1e3, "µs"], [1e6, "ms"], [1e9, "s"]];
  const BYTES = [[1, "B"], [1024, "KiB"], [1048576, "MiB"], [1073741824, "GiB"]];
  const percent = (share) => {
    const v = share * 100;
    if (v === 0) return "0 %";
    if (Math.abs(v) < 0.01) return "< 0.01 %";
    return (Math.abs(v) < 10 ? v.toFixed(2) : v.toFixed(1)) + " %";
  };
  const short = (v) => String(Number(v.toPrecision(4)));
  const FULL = {
    rate: (v) => (Math.abs(v) >= 1e4 ? group(Math.round(v)) : significant(v)) + " req/s",
    nanoseconds: (v) => scaled(v, TIMES),
    bytes: (v) => scaled(v, BYTES),
    cores: (v) => v.toFixed(2) + " cores",
    share: percent,
    count: (v) => group(short(v)),
    seconds: (v) => short(v) + " s",
    percentile: (v) => short(100 - 100 / v).slice(0, 7) + " %",
  };
  const trim = (text) => text.replace(/(\.\d*?)0+(?=\D|$)/, "$1").replace(/\.(?=\D|$)/, "");
  const TICK = { ...FULL, rate: (v) => group(short(v)), cores: short, percentile: (v) => String(+(100 - 100 / v).toFixed(2)) + " %" };
  const tick = (quantity) => (v) => (v === 0 ? "0" : trim(TICK[quantity](v)));
  const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
  const cut = (text, n) => (text.length > n ? text.slice(0, n - 1) + "…" : text);

  // ---- styles ----
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const color = (s) => palette[s.color % palette.length];
  // Shift symbols with each repetition of the palette, so that equal colours have different symbols.
  const symbol = (s) => SYMBOLS[(s.color + Math.floor(s.color / palette.length)) % SYMBOLS.length];
  const dash = (s) => DASHES[Math.floor(s.color / palette.length) % DASHES.length];
  // Dot plot with one value per category or per launch: one row each, values along the bottom, names at the points.
  const lying = (chart) => chart.kind === "intervals" || chart.kind === "dots";
  const place = (chart, p) => (lying(chart) ? [p[1], p[0], p[2], p[3]] : p.slice(0, 4));
  const xText = (chart, p) => (chart.categories.length ? chart.categories[p[0]] : FULL[chart.x.quantity](p[0]));
  const why = (chart, p) => (p.length > 4 ? chart.reasons[p[4]] : "");
  const interval = (chart, p) => (p[2] != null ? `${FULL[chart.y.quantity](p[2])} to ${FULL[chart.y.quantity](p[3])}` : "");

  const tip = (chart, s, p) => {
    const lines = [`<b>${escape(s.name)}</b> · ${escape(xText(chart, p))}`, `<b>${escape(FULL[chart.y.quantity](p[1]))}</b>`];
    if (interval(chart, p)) lines.push(`95 % interval: ${escape(interval(chart, p))}`);
    if (why(chart, p)) lines.push(`<i>${escape(why(chart, p))}</i>`);
    return `<div class="tip">${lines.join("<br>")}</div>`;
  };

  function band(s) {
    const points = s.points.filter((p) => p[2] != null);
    return {
      type: "custom", name: s.name, silent: true, z: 1, tooltip: { show: false }, data: points.length > 1 ? [[points[0][0], points[0][1]]] : [],
      renderItem: (_, api) => {
        const ends = [...points.map((p) => [p[0], p[3]]), ...points.slice().reverse().map((p) => [p[0], p[2]])];
        return { type: "polygon", shape: { points: ends.map((p) => api.coord(p)) }, style: { fill: color(s), opacity: 0.16 } };
      },
    };
  }

  // The name at the points of each row, with its value if there is one, on the side that has more room.
  function names(chart, page) {
    const rows = chart.categories.map((name) => ({ name, low: Infinity, high: -Infinity, value: "" }));
    for (const s of chart.series) {
      for (const p of s.points) {
        const row = rows[p[0]];
        row.low = Math.min(row.low, p[2] ?? p[1]);
        row.high = Math.max(row.high, p[3] ?? p[1]);
        if (chart.kind === "intervals") row.value = FULL[chart.y.quantity](p[1]);
      }
    }
    const ink = css("--ink"), soft = css("--soft");
    const width = (text, font) => echarts.format.getTextRect(text, font).width;
    const bold = "600 12px system-ui, sans-serif", plain = "12px system-ui, sans-serif";
    return {
      type: "custom", name: "names", silent: true, z: 4, tooltip: { show: false }, data: rows.map((row, i) => [row.low, i, row.high]),
      renderItem: (params, api) => {
        const row = rows[params.dataIndex];
        const [left, y] = api.coord([api.value(0), api.value(1)]);
        const right = api.coord([api.value(2), api.value(1)])[0];
        const { x, width: all } = params.coordSys;
        const room = Math.max(x + all - right, left - x) - 14;
        const after = x + all - right >= left - x;
        const valueWidth = row.value ? width(row.value, plain) + 7 : 0;
        let name = row.name;
        while (name.length > 3 && width(name, bold) + valueWidth > room) name = cut(name, name.length - 1);
        const wide = width(name, bold);
        const start = after ? right + 11 : left - 11 - wide - valueWidth;
        const text = (value, at, fill, font) => ({ type: "text", style: { text: value, x: at, y, fill, font, textVerticalAlign: "middle", stroke: page, lineWidth: 4 } });
        return { type: "group", children: [text(name, start, ink, bold), ...(row.value ? [text(row.value, start + wide + 7, soft, plain)] : [])] };
      },
    };
  }

  function whiskers(chart, s) {
    return {
      type: "custom", name: s.name, silent: true, z: 2, tooltip: { show: false }, data: s.points.filter((p) => p[2] != null).map((p) => place(chart, p)),
      renderItem: (_, api) => {
        const [left, y] = api.coord([api.value(2), api.value(1)]);
        const right = api.coord([api.value(3), api.value(1)])[0];
        return { type: "line", shape: { x1: left, y1: y, x2: Math.max(right, left + 1), y2: y }, style: { stroke: css("--accent"), lineWidth: 3, lineCap: "round" } };
      },
    };
  }

  function marks(chart, s, page) {
    // Names at the points make colours and symbols superfluous in dot plots.
    const [fill, shape] = lying(chart) ? [css("--accent"), "circle"] : [color(s), symbol(s)];
    return s.points.map((p) => ({
      value: place(chart, p),
      point: p,
      itemStyle: why(chart, p) ? { color: page, borderColor: fill, borderWidth: 2, opacity: 1 } : { color: fill, opacity: 1 },
      symbol: shape,
      symbolSize: why(chart, p) ? 10 : 9,
    }));
  }

  function series(chart, s, page) {
    if (chart.kind === "lines") {
      const few = s.points.length <= 16;
      const line = {
        type: "line", name: s.name, z: 3, showSymbol: true, data: marks(chart, s, page).map((m) => (few || why(chart, m.point) ? m : { ...m, symbolSize: 1 })),
        lineStyle: { color: color(s), width: 2.5, type: dash(s) }, itemStyle: { color: color(s) }, emphasis: { focus: "series", scale: 1.4 },
      };
      return [band(s), line];
    }
    const dots = { type: "scatter", name: s.name, z: 3, data: marks(chart, s, page) };
    if (chart.kind === "dots") {
      // Offset launches of one case vertically, so that dots do not overlap.
      const seen = new Map();
      const total = new Map();
      for (const p of s.points) total.set(p[0], (total.get(p[0]) || 0) + 1);
      dots.data.forEach((m) => {
        const k = seen.get(m.point[0]) || 0;
        seen.set(m.point[0], k + 1);
        m.symbolOffset = [0, (k - (total.get(m.point[0]) - 1) / 2) * Math.min(5, 20 / total.get(m.point[0]))];
        m.itemStyle.opacity = 0.75;
      });
      return [dots];
    }
    return [whiskers(chart, s), dots];
  }

  // The highest drawn value: a point or the end of an interval.
  const most = (chart) => Math.max(...chart.series.flatMap((s) => s.points.map((p) => Math.max(p[1], p[3] ?? p[1]))));

  function axes(chart, log) {
    const ink = css("--soft"), line = css("--line");
    const text = { color: ink, fontSize: 12 };
    const y = {
      type: log ? "log" : "value", name: chart.y.name, nameLocation: "end", nameGap: 14, nameTextStyle: { ...text, align: "left", padding: [0, 0, 0, -72] }, min: log ? undefined : 0,
      axisLabel: { ...text, formatter: tick(chart.y.quantity) }, splitLine: { lineStyle: { color: line } }, minorSplitLine: { show: false }, logBase: 10,
    };
    if (log) {
      // Whole decades waste most of the plot for small ranges: use the range of the data.
      const all = chart.series.flatMap((s) => s.points.flatMap((p) => (p[2] > 0 ? [p[1], p[2], p[3]] : [p[1]]))).filter((v) => v > 0);
      y.min = Math.min(...all) / 1.25;
      y.max = Math.max(...all) * 1.25;
      const decades = Math.log10(y.max / y.min);
      const multiples = decades > 3 ? [1] : decades > 1.2 ? [1, 3] : [1, 2, 5];
      const values = [];
      for (let d = Math.floor(Math.log10(y.min)); d <= Math.log10(y.max); d++) for (const m of multiples) values.push(m * 10 ** d);
      const inside = values.filter((v) => v > y.min && v < y.max);
      y.axisLabel.customValues = inside;
      y.axisTick = { show: true, customValues: inside };
      y.splitLine.customValues = inside;
    } else if (most(chart) > 0) {
      // Include the ends of intervals, and use round steps in the displayed unit: 10 MiB, not 9.537.
      const top = most(chart);
      const unit = chart.y.quantity === "bytes" ? 1024 ** Math.max(0, Math.floor(Math.log(top / 5) / Math.log(1024))) : 1;
      const rough = top / 5 / unit;
      const power = 10 ** Math.floor(Math.log10(rough));
      y.interval = unit * power * [1, 2, 5, 10].find((m) => m * power >= rough);
      y.max = y.interval * Math.ceil((top * 1.02) / y.interval);
    }
    if (lying(chart)) {
      const rows = {
        type: "category", data: chart.categories, inverse: true, axisTick: { show: false }, axisLine: { show: !log, lineStyle: { color: line } }, axisLabel: { show: false },
      };
      return [{ ...y, nameLocation: "middle", nameGap: 26, nameTextStyle: text, axisLabel: { ...y.axisLabel, hideOverlap: true } }, rows];
    }
    if (chart.categories.length) {
      return [{
        type: "category", data: chart.categories, axisTick: { alignWithLabel: true }, axisLine: { lineStyle: { color: line } },
        // A date above its time: short enough to stand upright.
        axisLabel: { ...text, hideOverlap: true, lineHeight: 15, formatter: (v) => cut(v.replace(" ", "\n"), 24) },
      }, y];
    }
    const x = {
      type: chart.x.log ? "log" : "value", name: chart.x.name, nameLocation: "middle", nameGap: 28, nameTextStyle: text, axisLine: { lineStyle: { color: line } },
      axisLabel: { ...text, formatter: tick(chart.x.quantity), hideOverlap: true }, splitLine: { show: false },
    };
    if (chart.x.log) {
      const all = chart.series.flatMap((s) => s.points.map((p) => p[0])).filter((v) => v > 0);
      x.min = Math.min(...all);
      x.max = Math.max(...all);
      const few = [...new Set(all)].sort((a, b) => a - b);
      const ticks = chart.x.quantity === "percentile" ? [2, 10, 100, 1000, 10000].filter((v) => v <= x.max * 1.001) : few.length <= 8 ? few : null;
      if (x.min === x.max) { x.min /= 2; x.max *= 2; }
      if (ticks) { x.axisLabel.customValues = ticks; x.axisTick = { customValues: ticks }; }
    }
    return [x, y];
  }

  // Event lines are separate series, so that they stay when another series is hidden.
  function moments(chart) {
    if (!chart.marks.length) return [];
    const ink = css("--soft");
    return [{
      type: "line", name: "moments", silent: true, tooltip: { show: false }, data: [],
      markLine: {
        silent: true, symbol: "none", animation: false, lineStyle: { color: ink, type: "dashed", width: 1.5 },
        data: chart.marks.map(([x, text], i) => ({
          xAxis: x, label: { position: "insideEndTop", rotate: 0, align: "left", offset: [5, 14 + 15 * (i % 4)], color: ink, fontSize: 11, formatter: () => cut(text, 28) },
        })),
      },
    }];
  }

  function option(chart, log) {
    const page = css("--card");
    const [xAxis, yAxis] = axes(chart, log);
    return {
      animation: false, textStyle: { fontFamily: "inherit" },
      // ECharts hides series through its legend, which the legend of the page replaces.
      legend: chart.kind === "lines" ? { show: false, data: chart.series.map((s) => s.name), selected: selected(chart) } : undefined,
      grid: lying(chart) ? { left: 16, right: 34, top: 6, bottom: 46 } : { left: 76, right: chart.x.quantity === "percentile" ? 34 : 18, top: 34, bottom: 50 },
      tooltip: {
        trigger: "item", confine: true, backgroundColor: page, borderColor: css("--line"), textStyle: { color: css("--ink"), fontSize: 13 },
        extraCssText: "max-width:340px;white-space:normal;overflow-wrap:anywhere",
        formatter: (item) => {
          const s = chart.series.find((one) => one.name === item.seriesName);
          return item.data && item.data.point ? tip(chart, s, item.data.point) : "";
        },
      },
      xAxis, yAxis, series: [...chart.series.flatMap((s) => series(chart, s, page)), ...(lying(chart) ? [names(chart, page)] : []), ...moments(chart)],
    };
  }

  // ---- the legend of the page: the servers of all line charts ----
  const hidden = new Set();
  const selected = (chart) => Object.fromEntries(chart.series.map((s) => [s.name, !hidden.has(s.name)]));

  function swatch(s) {
    const c = color(s);
    const dashes = { solid: "", dashed: `stroke-dasharray="5 3"`, dotted: `stroke-dasharray="2 2"` }[dash(s)];
    return `<svg viewBox="0 0 22 12" aria-hidden="true" fill="${c}"><path d="M0 6h22" stroke="${c}" stroke-width="2.5" ${dashes}/><path d="${PATHS[(s.color + Math.floor(s.color / palette.length)) % PATHS.length]}"/></svg>`;
  }

  function legend(box) {
    const known = new Map();
    for (const chart of Object.values(charts)) {
      if (chart.kind === "lines") for (const s of chart.series) if (!known.has(s.name)) known.set(s.name, s);
    }
    // A single server needs no legend.
    if (known.size < 2) return;
    for (const s of [...known.values()].sort((a, b) => a.color - b.color)) {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      button.innerHTML = `${swatch(s)}<span></span>`;
      button.lastChild.textContent = s.name;
      button.title = s.name;
      button.addEventListener("click", () => {
        const on = hidden.delete(s.name);
        if (!on) hidden.add(s.name);
        button.setAttribute("aria-pressed", String(on));
        live.forEach((state) => {
          if (state.data.kind === "lines") state.chart.dispatchAction({ type: on ? "legendSelect" : "legendUnSelect", name: s.name });
        });
      });
      box.append(button);
    }
    box.hidden = false;
  }

  // ---- one chart with its button and its table ----
  function tools(figure, chart, state) {
    const box = figure.querySelector(".tools");
    const positive = chart.series.every((s) => s.points.every((p) => p[1] > 0));
    if (positive) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "scale";
      button.textContent = "log scale";
      button.setAttribute("aria-pressed", String(state.log));
      button.addEventListener("click", () => {
        state.log = !state.log;
        button.setAttribute("aria-pressed", String(state.log));
        redraw(state);
      });
      box.append(button);
    }
  }

  function table(chart, box) {
    const percentiles = [2, 10, 20, 100, 1000, 10000];
    const kept = (p) => chart.x.quantity !== "percentile" || percentiles.some((q) => Math.abs(p[0] / q - 1) < 1e-3);
    // Omit a category that equals the series.
    const named = chart.categories.length && chart.series.every((s) => s.points.every((p) => xText(chart, p) === s.name));
    const columns = [["series", null], [chart.x.name, (p) => xText(chart, p)], [chart.y.name, (p) => FULL[chart.y.quantity](p[1])],
      ["95 % interval", (p) => interval(chart, p) || "–"], ["note", (p) => (why(chart, p) ? String(notes.indexOf(why(chart, p)) + 1) : "")]];
    const every = chart.series.flatMap((s) => s.points.filter(kept));
    // Many points share a reason: list it once below and refer to it by number.
    const notes = [...new Set(every.map((p) => why(chart, p)).filter(Boolean))];
    const wanted = columns.filter((_, i) => !(i === 1 && named) && !(i === 3 && !every.some((p) => p[2] != null)) && !(i === 4 && !notes.length));
    const made = document.createElement("table");
    const head = made.createTHead().insertRow();
    for (const [name] of wanted) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = name;
      head.append(cell);
    }
    const body = made.createTBody();
    for (const s of chart.series) {
      for (const p of s.points.filter(kept)) {
        const row = body.insertRow();
        const name = document.createElement("th");
        name.scope = "row";
        name.textContent = s.name;
        row.append(name);
        for (const [, text] of wanted.slice(1)) row.insertCell().textContent = text(p);
      }
    }
    const list = document.createElement("ol");
    for (const note of notes) list.appendChild(document.createElement("li")).textContent = note;
    box.replaceChildren(made, ...(notes.length ? [list] : []));
  }

  function redraw(state) {
    state.chart.setOption(option(state.data, state.log), true);
  }

  function draw(canvas) {
    if (live.has(canvas)) return;
    const data = charts[canvas.dataset.chart];
    if (lying(data)) canvas.style.height = `${54 + 26 * data.categories.length}px`;
    const state = { data, log: data.y.log, chart: echarts.init(canvas, null, { renderer: "svg" }) };
    live.set(canvas, state);
    state.chart.setOption(option(data, state.log));
    tools(canvas.closest("figure"), data, state);
    new ResizeObserver(() => state.chart.resize()).observe(canvas);
  }

  legend(document.getElementById("legend"));
  const canvases = [...document.querySelectorAll(".canvas")];
  const watcher = new IntersectionObserver((seen) => {
    for (const one of seen) if (one.isIntersecting) { watcher.unobserve(one.target); draw(one.target); }
  }, { rootMargin: "600px" });
  canvases.forEach((canvas) => watcher.observe(canvas));
  for (const details of document.querySelectorAll("details.data")) {
    details.addEventListener("toggle", () => {
      const canvas = details.closest("figure").querySelector(".canvas");
      const box = details.querySelector(".scroll");
      if (details.open && !box.firstChild) table(charts[canvas.dataset.chart], box);
    });
  }
  // ---- theme ----
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  function themed() {
    button.setAttribute("aria-pressed", String(dark()));
    live.forEach(redraw);
  }
  try {
    const kept = localStorage.getItem("wsgibench-theme");
    if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  } catch { /* Local files may lack storage; the theme then follows the system. */ }
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("wsgibench-theme", root.dataset.theme); } catch { /* as above */ }
    themed();
  });
  system.addEventListener("change", themed);
  themed();

  // ---- print: light theme, all sections open, all charts drawn ----
  let before = null;
  addEventListener("beforeprint", () => {
    const closed = [...document.querySelectorAll("details.param:not([open])")];
    before = { theme: root.dataset.theme, closed };
    root.dataset.theme = "light";
    closed.forEach((details) => { details.open = true; });
    canvases.slice(0, 200).forEach(draw);
    themed();
    // A drawing as wide as the window is scaled to its column, not cut.
    for (const canvas of live.keys()) {
      const svg = canvas.querySelector("svg");
      svg.setAttribute("viewBox", `0 0 ${svg.getAttribute("width")} ${svg.getAttribute("height")}`);
      svg.setAttribute("preserveAspectRatio", "xMinYMin meet");
    }
  });
  addEventListener("afterprint", () => {
    if (!before) return;
    if (before.theme) root.dataset.theme = before.theme; else delete root.dataset.theme;
    before.closed.forEach((details) => { details.open = false; });
    before = null;
    themed();
    for (const canvas of live.keys()) canvas.querySelector("svg").removeAttribute("viewBox");
  });
  // ---- open a closed section when a link points into it; not every browser does ----
  function reveal() {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    let closed = false;
    for (let box = target.closest("details"); box; box = box.parentElement.closest("details")) {
      closed ||= !box.open;
      box.open = true;
    }
    if (closed) target.scrollIntoView();
    if (target.tabIndex === -1) target.focus({ preventScroll: true });
  }
  addEventListener("hashchange", reveal);
  reveal();

  if (reduced) root.style.scrollBehavior = "auto";

  // For tests and debugging: the drawn chart of an id.
  globalThis.wsgibench = { chart: (id) => { const canvas = document.querySelector(`[data-chart="${CSS.escape(id)}"]`); draw(canvas); return live.get(canvas).chart; } };
})();
