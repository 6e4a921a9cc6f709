// The charts: uPlot, with a key, a readout for pointer and arrow keys, and the same numbers as a table.

import { element, table } from "./elements.js";
import { percentile } from "./tally.js";
import { brief, clock, cost, count, duration } from "./words.js";

// `lines` go from back to front; of stacked ones each is drawn with those after it added. One with a last `true` is drawn
// as a halo, which shows around a line that lies on it.
const CHARTS = {
  tokens: {
    title: "Tokens", stacked: true, whole: true, axis: brief,
    lines: [["output", "orange", (c) => c.output, count], ["input", "blue", (c) => c.input, count]],
  },
  latency: {
    title: "Latency", axis: (ms) => (ms < 1000 ? `${ms} ms` : `${ms / 1000} s`),
    lines: [["p99", "red", (c, base) => percentile(c.latency, 0.99, base), duration, true],
            ["p95", "orange", (c, base) => percentile(c.latency, 0.95, base), duration],
            ["median", "teal", (c, base) => percentile(c.latency, 0.5, base), duration]],
  },
  cost: {
    title: "Cost", stacked: true, axis: (amount) => `$${amount}`,
    lines: [["known", "violet", (c) => c.cost, (_, column) => cost(column)]],
    note: (columns) => {
      const calls = columns.reduce((sum, column) => sum + column.unpriced, 0);
      return calls ? `${count(calls)} ${calls === 1 ? "call has" : "calls have"} no known price and are not drawn` : "";
    },
  },
  turns: {
    title: "Turns", stacked: true, whole: true, axis: brief,
    lines: [["failed", "red", (c) => c.failed, count], ["answered", "slate", (c) => c.turns - c.failed, count]],
  },
};

// Seconds between the marks of the time axis.
const STEPS = [10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600];
const WHOLE = [1, 2, 5].flatMap((step) => [...Array(12).keys()].map((zeros) => step * 10 ** zeros)).sort((a, b) => a - b);

export function chart(figure) {
  const { title, stacked, whole, axis, lines, note } = CHARTS[figure.dataset.chart];
  const readout = element("output", { class: "readout" });
  const plot = element("div", { class: "plot", tabindex: "0", role: "img" });
  const nothing = element("p", { class: "none" });
  const rows = element("div", { class: "scroll" });
  const details = element("details", {}, element("summary", {}, "As a table"), rows);
  const keys = element("ul", { class: "keys" }, ...[...lines].reverse().map(([name, colour]) => element("li", { class: colour }, name)));
  figure.append(element("figcaption", {}, element("span", { class: "title" }, title), keys, readout), plot, details);
  plot.append(nothing);

  let columns = [], fine = true, base = 1.05, drawn = null, hovered = null;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const readings = (column) => [...lines].reverse().map(([name, , value, word]) => {
    const number = value(column, base);
    return `${name} ${number === null ? "–" : word(number, column)}`;
  }).join(", ");

  const width = () => (columns.length > 1 ? columns[1].time - columns[0].time : 1);

  function values() {
    const numbers = lines.map(([, , value]) => columns.map((column) => value(column, base)));
    const times = columns.map((column) => column.time);
    if (!stacked) return [times, ...numbers];
    const drawn = numbers.map((_, line) => times.map((_, at) => {
      const height = numbers.slice(line).reduce((sum, one) => sum + one[at], 0);
      return height || null;
    }));
    return [times, ...drawn];
  }

  function make() {
    drawn?.destroy();
    const bars = uPlot.paths.bars({ size: [0.72, 40], radius: 0.18 });
    const soft = colour("soft"), grid = { stroke: colour("grid"), width: 1 }, font = "12px system-ui, sans-serif";
    drawn = new uPlot({
      width: plot.clientWidth, height: plot.clientHeight, legend: { show: false }, padding: [10, 8, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, points: { show: !stacked, size: 7 } },
      scales: { x: { time: true, range: (_, first, last) => [first - width() / 2, last + width() / 2] }, y: { range: (_, __, top) => [0, top > 0 ? top * 1.12 : 1] } },
      axes: [
        { stroke: soft, font, grid: { show: false }, ticks: { show: false }, space: 60, size: 26, gap: 6, incrs: STEPS, values: (_, at) => at.map((time) => clock(time, fine && at.length > 1 && at[1] - at[0] < 60)) },
        { stroke: soft, font, grid, ticks: { show: false }, size: 62, space: 38, ...(whole ? { incrs: WHOLE } : {}), values: (_, at) => at.map(axis) },
      ],
      series: [{}, ...lines.map(([, name, , , halo]) => stacked
        ? { fill: colour(name), stroke: colour(name), width: 0, paths: bars, points: { show: false } }
        : { stroke: colour(name) + (halo ? "59" : ""), width: halo ? 6 : 2, spanGaps: true, points: { show: !halo, size: 4, fill: colour(name) } })],
      hooks: { setCursor: [(u) => read(u.cursor.idx ?? null)] },
    }, values(), plot);
  }

  function read(index) {
    hovered = index;
    const column = index === null ? null : columns[index];
    readout.textContent = column ? `${clock(column.time, fine)}  ${readings(column)}` : note?.(columns) ?? "";
  }

  plot.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") drawn?.setCursor({ left: -10, top: -10 });
    if (!step || !columns.length) return;
    event.preventDefault();
    const at = Math.max(0, Math.min(columns.length - 1, (hovered ?? columns.length) + step));
    drawn.setCursor({ left: drawn.valToPos(columns[at].time, "x"), top: 10 });
    read(at);
  });
  details.addEventListener("toggle", () => fill());
  new ResizeObserver(() => drawn?.setSize({ width: plot.clientWidth, height: plot.clientHeight })).observe(plot);

  function fill() {
    if (!details.open) return;
    const front = [...lines].reverse();
    const shown = columns.filter((column) => column.turns || column.input || column.output || column.unpriced).reverse();
    rows.replaceChildren(table(["Time", ...front.map(([name]) => name)], shown.map((column) => [
      clock(column.time, fine),
      ...front.map(([, , value, word]) => { const number = value(column, base); return { text: number === null ? "–" : word(number, column), class: "n" }; }),
    ]), { numbers: [1, 9] }));
  }

  return {
    draw(fresh, how) {
      columns = fresh;
      ({ fine, base } = how);
      if (drawn) drawn.setData(values()); else make();
      const last = columns.findLast((column) => column.turns || column.input || column.unpriced);
      nothing.textContent = last ? "" : "no data in this time range";
      plot.setAttribute("aria-label", `${title} over time. ${last ? `Latest, at ${clock(last.time, fine)}: ${readings(last)}.` : "No data in this time range."} Arrow keys read the columns.`);
      if (hovered === null) read(null); else read(Math.min(hovered, columns.length - 1));
      if (how.changed) fill();
    },
    recolour() { if (drawn) make(); },
  };
}
