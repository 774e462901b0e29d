"use strict";
// Plots of the page: lines over time, over quantiles, or over any number, in SVG. Drag to zoom, double-click for all;
// plots of one group zoom and point together. Text from the data only ever becomes text nodes.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const HEIGHT = 190, TALL = 380, LEFT = 58, RIGHT = 12, TOP = 24, BOTTOM = 24;
  const groups = new Map();

  const el = (name, attributes, parent) => {
    const node = document.createElementNS(SVG, name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (parent) parent.append(node);
    return node;
  };
  const html = (name, className, text, parent) => {
    const node = document.createElement(name);
    if (className) node.className = className;
    if (text !== undefined && text !== null) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  };

  // Values in words. The same steps as the program's own.
  const SCALES = {
    time: [["us", 1], ["ms", 1e3], ["s", 1e6]],
    bytes: [["B", 1], ["kB", 1e3], ["MB", 1e6], ["GB", 1e9]],
    growth: [["B/h", 1], ["kB/h", 1e3], ["MB/h", 1e6], ["GB/h", 1e9]],
    rate: [["B/s", 1], ["kB/s", 1e3], ["MB/s", 1e6], ["GB/s", 1e9]],
    share: [["%", 0.01]],
    length: [["units", 1]],
    seconds: [["s", 1]],
    count: [["", 1], ["k", 1e3], ["M", 1e6], ["G", 1e9]],
  };
  const short = (v) => {
    const a = Math.abs(v);
    if (a >= 100 || Number.isInteger(v)) return String(Math.round(v));
    if (a >= 10) return v.toFixed(1);
    if (a >= 0.01) return String(+v.toFixed(2));
    return String(+v.toPrecision(2));
  };
  const show = (value, unit) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    if (unit === "count" && Number.isInteger(value) && Math.abs(value) < 1e6) return value.toLocaleString("en");
    const scale = SCALES[unit] || SCALES.count;
    let step = scale[0];
    for (const s of scale) if (Math.abs(value) >= s[1]) step = s;
    const number = unit === "share" ? String(+(value * 100).toPrecision(4)) : short(value / step[1]);
    return step[0] ? number + " " + step[0] : number;
  };
  const clock = (s) => {
    if (s < 120) return short(s) + " s";
    const h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60, rest = Math.floor(s % 60);
    const two = (n) => String(n).padStart(2, "0");
    return h ? h + ":" + two(m) + ":" + two(rest) : m + ":" + two(rest);
  };

  // Quantiles lie on an axis that doubles its care for each nine: 0 at 0, 90 % at 1, 99 % at 2.
  const nines = (q) => -Math.log10(Math.max(1 - q, 1e-7));
  const NINES = [[0, "0"], [0.5, "50 %"], [0.75, "75"], [0.9, "90"], [0.99, "99"], [0.999, "99.9"], [0.9999, "99.99"], [0.99999, "99.999"], [0.999999, "99.9999"]];

  // The same of what is bad when it is small: so many are smaller.
  const BELOW = { "0": "all", "50 %": "50 %", "75": "25", "90": "10", "99": "1 %", "99.9": "0.1", "99.99": "0.01", "99.999": "0.001", "99.9999": "0.0001" };

  const steps = (from, to, wanted, base) => {
    const span = to - from;
    if (!(span > 0)) return [from];
    const rough = span / wanted, power = Math.pow(10, Math.floor(Math.log10(rough)));
    const nice = (base === 60 && rough > 1 ? [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600] : [1, 2, 5, 10].map((n) => n * power)).find((n) => n >= rough) || power * 10;
    const out = [];
    for (let at = Math.ceil(from / nice) * nice; at <= to + nice * 1e-9; at += nice) out.push(Math.abs(at) < nice * 1e-9 ? 0 : at);
    return out;
  };

  class Plot {
    constructor(place, spec, data) {
      this.spec = spec;
      this.data = data;
      this.place = place;
      this.log = !!spec.log;
      this.tall = false;
      this.off = new Set();
      this.window = null;
      this.series = spec.series.map((s) => ({ ...s, xs: spec.x === "quantile" ? s.x.map(nines) : s.x }));
      const all = this.series.flatMap((s) => [s.xs[0], s.xs[s.xs.length - 1]]).filter((v) => v !== undefined);
      for (const band of spec.bands || []) all.push(band.from, band.to);
      this.full = [Math.min(...all), Math.max(...all)];
      if (!(this.full[1] > this.full[0])) this.full = [this.full[0] - 1 || 0, this.full[0] + 1 || 1];
      if (spec.x === "number") {
        const pad = (this.full[1] - this.full[0]) * 0.04;
        this.full = [this.full[0] - pad, this.full[1] + pad];
      }
      this.group = spec.sync ? groups.get(spec.sync) || groups.set(spec.sync, []).get(spec.sync) : [];
      this.group.push(this);
      this.build();
      new ResizeObserver(() => this.draw()).observe(this.area);
    }

    build() {
      const head = html("div", "head", null, this.place);
      const title = html("div", "title", this.spec.title, head);
      if (this.spec.about) html("small", "", this.spec.about, title);
      const tools = html("div", "tools", null, head);
      this.reset = html("button", "", "all", tools);
      this.reset.title = "Show everything (or double-click)";
      this.reset.hidden = true;
      this.reset.onclick = () => this.zoom(null);
      const toggle = (text, hint, isOn, flip) => {
        const button = html("button", "", text, tools);
        button.title = hint;
        button.setAttribute("aria-pressed", isOn);
        button.onclick = () => button.setAttribute("aria-pressed", flip());
      };
      if (this.spec.unit !== "share") toggle("log", "Logarithmic values", this.log, () => { this.log = !this.log; this.draw(); return this.log; });
      toggle("⤢", "Large", false, () => { this.tall = this.place.classList.toggle("wide"); this.draw(); return this.tall; });
      if (this.series.length > 1) {
        const legend = html("div", "legend", null, this.place);
        this.series.forEach((s, n) => {
          const button = html("button", "", null, legend);
          button.setAttribute("aria-pressed", "true");
          const key = el("svg", { width: 16, height: 8 }, button);
          if (s.dots) el("circle", { cx: 8, cy: 4, r: 3, fill: this.color(s) }, key);
          else el("line", { x1: 0, x2: 16, y1: 4, y2: 4, stroke: this.color(s), "stroke-width": 2, "stroke-dasharray": this.dash(s) }, key);
          button.append(s.label);
          button.onclick = () => {
            const isOff = this.off.has(n);
            isOff ? this.off.delete(n) : this.off.add(n);
            button.setAttribute("aria-pressed", isOff);
            this.draw();
          };
        });
      }
      this.area = html("div", "area", null, this.place);
      this.area.tabIndex = 0;
      this.area.setAttribute("role", "img");
      this.area.setAttribute("aria-label", this.spec.title);
      this.svg = el("svg", { class: "canvas" }, this.area);
      this.tip = html("div", "tip", null, this.area);
      this.tip.hidden = true;
      this.listen();
    }

    listen() {
      const at = (event) => event.clientX - this.area.getBoundingClientRect().left;
      let from = null;
      this.area.onpointerdown = (event) => {
        if (event.button) return;
        from = at(event);
        if (event.pointerType !== "touch") this.area.setPointerCapture(event.pointerId);
      };
      this.area.onpointermove = (event) => {
        const x = at(event);
        if (from !== null && Math.abs(x - from) > 4) this.select(from, x);
        this.point(this.value(x));
      };
      this.area.onpointerup = (event) => {
        const x = at(event);
        if (from !== null && Math.abs(x - from) > 8) this.zoom([this.value(Math.min(from, x)), this.value(Math.max(from, x))]);
        from = null;
        this.select(null);
      };
      this.area.onpointercancel = () => { from = null; this.select(null); this.point(null); };
      this.area.onpointerleave = () => { if (from === null) this.point(null); };
      this.area.ondblclick = () => this.zoom(null);
      this.area.onkeydown = (event) => {
        const [a, b] = this.window || this.full, span = b - a;
        const move = { ArrowLeft: [-0.2, -0.2], ArrowRight: [0.2, 0.2], "+": [0.2, -0.2], "=": [0.2, -0.2], "-": [-0.4, 0.4] }[event.key];
        if (event.key === "Escape") this.zoom(null);
        else if (move) this.zoom([a + move[0] * span, b + move[1] * span]);
        else return;
        event.preventDefault();
      };
    }

    zoom(window) {
      let to = null;
      if (window) {
        const [lo, hi] = this.full;
        to = [Math.max(lo, window[0]), Math.min(hi, window[1])];
        if (to[1] - to[0] < (hi - lo) * 1e-4) return;
        if (to[0] <= lo && to[1] >= hi) to = null;
      }
      for (const plot of this.group) {
        plot.window = to;
        plot.reset.hidden = !to;
        plot.draw();
      }
    }

    select(from, to) {
      if (this.box) this.box.remove();
      this.box = null;
      if (from === null) return;
      const clip = (x) => Math.min(Math.max(x, LEFT), this.width - RIGHT);
      const [a, b] = [clip(Math.min(from, to)), clip(Math.max(from, to))];
      this.box = el("rect", { class: "select", x: a, y: TOP, width: b - a, height: this.height - TOP - BOTTOM }, this.svg);
    }

    point(x) {
      for (const plot of this.group) plot.cross(x, plot === this);
    }

    color(s) {
      if (s.run === null || s.run === undefined) return "var(--tone" + (s.tone % 5) + ")";
      return "var(--run" + s.run + ")";
    }
    dash(s) {
      if (s.run === null || s.run === undefined) return s.dash ? "4 3" : "none";
      return ["none", "5 3", "2 3", "1 4"][s.tone % 4];
    }
    part(at) { const above = Math.pow(10, -at) * 100; return this.spec.low ? +above.toPrecision(4) + " % are less" : +(100 - above).toPrecision(7) + " %"; }
    px(x) { const [a, b] = this.window || this.full; return LEFT + (x - a) / (b - a) * (this.width - LEFT - RIGHT); }
    value(px) { const [a, b] = this.window || this.full; return a + (px - LEFT) / (this.width - LEFT - RIGHT) * (b - a); }
    scaled(v) { return this.isLog ? Math.log10(Math.max(v, this.floor)) : v; }
    py(v) { const [a, b] = this.range; return this.height - BOTTOM - (this.scaled(v) - a) / (b - a) * (this.height - TOP - BOTTOM); }

    draw() {
      this.width = this.area.clientWidth;
      if (this.width < 80) return;
      this.height = this.tall ? TALL : HEIGHT;
      this.svg.replaceChildren();
      this.svg.setAttribute("height", this.height);
      this.svg.setAttribute("viewBox", "0 0 " + this.width + " " + this.height);
      const clip = "clip" + (Plot.count = (Plot.count || 0) + 1);
      el("rect", { x: LEFT, y: 4, width: this.width - LEFT - RIGHT, height: this.height - BOTTOM },
        el("clipPath", { id: clip }, el("defs", {}, this.svg)));
      this.measure();
      const inner = el("g", { "clip-path": "url(#" + clip + ")" });
      this.bands(inner);
      this.svg.append(inner);
      this.axes();
      const lines = el("g", { "clip-path": "url(#" + clip + ")" }, this.svg);
      this.marks(lines);
      this.series.forEach((s, n) => { if (!this.off.has(n)) this.line(s, lines); });
    }

    // The range of what is in sight.
    measure() {
      const [a, b] = this.window || this.full;
      let lo = Infinity, hi = -Infinity, least = Infinity;
      this.series.forEach((s, n) => {
        if (this.off.has(n)) return;
        for (let i = 0; i < s.xs.length; i++) {
          if (s.y[i] === null || ((s.xs[i + 1] ?? s.xs[i]) < a) || ((s.xs[i - 1] ?? s.xs[i]) > b)) continue;
          lo = Math.min(lo, s.y[i]);
          hi = Math.max(hi, s.y[i]);
          if (s.y[i] > 0) least = Math.min(least, s.y[i]);
        }
      });
      const limit = this.spec.limit ? this.spec.limit.value : null;
      if (limit !== null && limit < hi * 3) { hi = Math.max(hi, limit); if (limit > 0) least = Math.min(least, limit); }
      if (hi === -Infinity) { lo = 0; hi = 1; least = 1; }
      this.isLog = this.log && least < Infinity && hi > 0;
      if (this.isLog) {
        this.floor = least / 1.3;
        this.range = [Math.log10(this.floor), Math.log10(hi * 1.2)];
        return;
      }
      // From nothing, unless all of it is far above: 99.2 to 100 % is seen only so.
      const near = this.spec.unit === "share" && lo > 0.5 && this.spec.near;
      const bottom = near ? lo - (hi - lo || 0.01) * 0.15 : Math.min(0, lo);
      const top = hi > bottom ? hi + (hi - bottom) * 0.06 : bottom + (Math.abs(bottom) || 1);
      this.range = [bottom, this.spec.unit === "share" && hi <= 1 ? Math.min(top, Math.max(1, hi)) : top];
      if (near) this.range[1] = Math.min(1, hi) + (hi - bottom) * 0.05;
    }

    axes() {
      const right = this.width - RIGHT, bottom = this.height - BOTTOM;
      let ticks;
      if (this.isLog) {
        const [a, b] = this.range, all = [];
        for (let p = Math.floor(a); p <= b; p++) for (const m of b - a > 2.2 ? [1] : b - a > 0.9 ? [1, 3] : [1, 2, 3, 5, 7]) all.push(m * Math.pow(10, p));
        ticks = all.filter((v) => Math.log10(v) >= a && Math.log10(v) <= b);
      } else {
        // Nice in the unit in which they are shown.
        const scale = SCALES[this.spec.unit] || SCALES.count;
        let factor = scale[0][1];
        for (const s of scale) if (this.range[1] >= s[1]) factor = s[1];
        ticks = steps(this.range[0] / factor, this.range[1] / factor, this.tall ? 7 : 4).map((v) => v * factor);
      }
      for (const v of ticks) {
        const y = Math.round(this.py(v)) + 0.5;
        el("line", { class: "grid", x1: LEFT, x2: right, y1: y, y2: y }, this.svg);
        el("text", { x: LEFT - 7, y: y + 3.5, "text-anchor": "end" }, this.svg).textContent = show(+v.toPrecision(10), this.spec.unit);
      }
      el("line", { class: "axis", x1: LEFT, x2: right, y1: bottom + 0.5, y2: bottom + 0.5 }, this.svg);
      const [a, b] = this.window || this.full;
      const label = (x, text) => {
        const at = this.px(x);
        el("line", { class: "axis", x1: at, x2: at, y1: bottom, y2: bottom + 4 }, this.svg);
        const node = el("text", { x: at, y: bottom + 16, "text-anchor": at > right - 14 ? "end" : "middle" }, this.svg);
        node.textContent = text;
      };
      const room = Math.max(2, Math.floor((right - LEFT) / 74));
      if (this.spec.x === "quantile") {
        const seen = NINES.filter(([q]) => nines(q) >= a - 1e-9 && nines(q) <= b + 1e-9);
        if (seen.length >= 2) { let last = -99; for (const [q, text] of seen) { const at = this.px(nines(q)); if (at - last > 40) { label(nines(q), this.spec.low ? BELOW[text] : text); last = at; } } }
        else for (const v of steps(a, b, Math.min(room, 4))) label(v, this.part(v));
      } else if (this.spec.x === "time") {
        for (const v of steps(a, b, room, 60)) label(v, clock(v));
      } else {
        for (const v of steps(a, b, room).filter((v) => !this.spec.whole || Number.isInteger(v))) label(v, v.toLocaleString("en"));
      }
    }

    bands(parent) {
      (this.spec.bands || []).forEach((band, n) => {
        const [x1, x2] = [Math.max(this.px(band.from), LEFT), Math.min(this.px(band.to), this.width - RIGHT)];
        if (n % 2 === 0) el("rect", { class: "band", x: x1, y: 4, width: Math.max(0, x2 - x1), height: this.height - BOTTOM - 4 }, parent);
        if (band.label && x2 - x1 > 34) el("text", { x: x1 + 5, y: 16 }, parent).textContent = band.label;
      });
    }

    marks(parent) {
      for (const mark of this.spec.marks || []) {
        const x = this.px(mark.at);
        el("line", { class: "mark", x1: x, x2: x, y1: TOP, y2: this.height - BOTTOM }, parent);
        if (mark.label) el("text", { x: x + 4, y: this.height - BOTTOM - 6 }, parent).textContent = mark.label;
      }
      const limit = this.spec.limit;
      if (limit && this.scaled(limit.value) <= this.range[1] && this.scaled(limit.value) >= this.range[0]) {
        const y = this.py(limit.value);
        el("line", { class: "limit", x1: LEFT, x2: this.width - RIGHT, y1: y, y2: y }, parent);
        el("text", { class: "limit-text", x: this.width - RIGHT - 4, y: y < TOP + 16 ? y + 13 : y - 5, "text-anchor": "end" }, parent).textContent = limit.label;
      }
    }

    line(s, parent) {
      const color = this.color(s);
      if (s.dots) {
        s.xs.forEach((x, i) => {
          if (s.y[i] === null) return;
          el("circle", { cx: this.px(x), cy: this.py(s.y[i]), r: 4, fill: color, opacity: 0.75, stroke: "var(--card)" }, parent);
        });
        return;
      }
      const path = this.path(s);
      if (s.fill) el("path", { d: path.area, fill: color, opacity: 0.1 }, parent);
      el("path", { class: "series", d: path.line, stroke: color, "stroke-dasharray": this.dash(s), opacity: s.faint ? 0.55 : 1 }, parent);
    }

    // At most a least and a greatest value for each pixel: a day of seconds draws as fast as a minute.
    path(s) {
      const [a, b] = this.window || this.full;
      let line = "", area = "", open = false, column = null, lo = 0, hi = 0, first = 0, last = 0, start = 0, end = 0;
      const zero = this.height - BOTTOM;
      const to = (x, y) => { line += (open ? "L" : "M") + x.toFixed(1) + " " + y.toFixed(1); if (!open) start = x; open = true; end = x; };
      const flush = () => {
        if (column === null) return;
        const x = column + 0.5;
        if (lo === hi) to(x, this.py(lo));
        else { to(x, this.py(first)); to(x, this.py(lo)); to(x, this.py(hi)); to(x, this.py(last)); }
        column = null;
      };
      const close = () => {
        flush();
        if (open) area = line + "L" + end.toFixed(1) + " " + zero + "L" + start.toFixed(1) + " " + zero + "Z";
        open = false;
      };
      const dense = s.xs.length > 2 * this.width;
      for (let i = 0; i < s.xs.length; i++) {
        const y = s.y[i];
        if ((s.xs[i + 1] ?? s.xs[i]) < a || (s.xs[i - 1] ?? s.xs[i]) > b) continue;
        if (y === null) { close(); continue; }
        const px = this.px(s.xs[i]);
        if (!dense) {
          if (s.step && open) line += "H" + px.toFixed(1);
          to(px, this.py(y));
          // A value by itself is a dot.
          if ((s.y[i - 1] ?? null) === null && (s.y[i + 1] ?? null) === null) line += "h0.01";
          continue;
        }
        const at = Math.floor(px);
        if (at !== column) { flush(); column = at; lo = hi = first = y; }
        lo = Math.min(lo, y);
        hi = Math.max(hi, y);
        last = y;
      }
      close();
      return { line, area };
    }

    cross(x, isHere) {
      if (this.hair) this.hair.remove();
      this.hair = null;
      const [a, b] = this.window || this.full;
      this.tip.hidden = true;
      if (x === null || x < a || x > b || !this.range) return;
      const rows = [];
      let at = null;
      this.series.forEach((s, n) => {
        if (this.off.has(n) || !s.xs.length) return;
        let lo = 0, hi = s.xs.length - 1;
        while (lo < hi) { const mid = (lo + hi) >> 1; if (s.xs[mid] < x) lo = mid + 1; else hi = mid; }
        if (lo > 0 && Math.abs(s.xs[lo - 1] - x) <= Math.abs(s.xs[lo] - x)) lo--;
        if (at === null || Math.abs(s.xs[lo] - x) < Math.abs(at - x)) at = s.xs[lo];
        rows.push([s, lo]);
      });
      if (at === null) return;
      const px = this.px(at);
      this.hair = el("g", {}, this.svg);
      el("line", { class: "cross", x1: px, x2: px, y1: TOP, y2: this.height - BOTTOM }, this.hair);
      for (const [s, i] of rows) {
        if (s.y[i] !== null && Math.abs(this.px(s.xs[i]) - px) < 14) el("circle", { cx: this.px(s.xs[i]), cy: this.py(s.y[i]), r: 3, fill: this.color(s) }, this.hair);
      }
      if (!isHere) return;
      this.tip.replaceChildren();
      const words = { time: clock(at), quantile: this.part(at) };
      html("b", "", words[this.spec.x] || at.toLocaleString("en") + " " + (this.spec.xlabel || ""), this.tip);
      for (const [s, i] of rows) {
        const row = html("div", "", null, this.tip);
        const name = html("span", "", null, row);
        html("i", "dot", null, name).style.background = this.color(s);
        name.append(s.label);
        html("span", "", show(s.y[i], this.spec.unit), row);
      }
      this.tip.hidden = false;
      const left = px + 14 + this.tip.offsetWidth > this.width ? px - 14 - this.tip.offsetWidth : px + 14;
      this.tip.style.transform = "translate(" + Math.max(0, left) + "px," + TOP + "px)";
    }
  }

  const data = JSON.parse(document.getElementById("data").textContent);
  for (const place of document.querySelectorAll("[data-plot]")) {
    const spec = data.plots[Number(place.dataset.plot)];
    if (spec) new Plot(place, spec, data);
  }
  const theme = document.getElementById("theme");
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => { theme.textContent = isDark() ? "light" : "dark"; };
  theme.onclick = () => { root.dataset.theme = isDark() ? "light" : "dark"; name(); };
  name();
})();
