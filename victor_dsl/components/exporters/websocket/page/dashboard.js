// The page: asks for the token, holds the socket open, and draws its data once a second.

import { chart } from "./charts.js";
import { element, table } from "./elements.js";
import { columns, percentile, sum } from "./tally.js";
import { brief, clock, cost, count, duration, share, usd } from "./words.js";

const at = (id) => document.getElementById(id);
const WIDTHS = { 600: 10, 3600: 60, 86400: 900 };  // seconds of a column, for each time shown
const TAIL = 100, SHOWN = 30, SILENCE_MS = 15_000;

const state = {
  seconds: new Map(), minutes: new Map(), turns: [], errors: [], exporters: [], base: 1.05,
  ahead: 0, window: 600, heard: 0, missed: 0, paused: null, stale: true, shown: 0, seen: new Set(),
};
const charts = [...document.querySelectorAll("[data-chart]")].map(chart);

// --- signing in

async function enter() {
  const answer = await fetch("/session").catch(() => null);
  if (!answer?.ok) return later();
  if (!(await answer.json()).signed_in) return ask();
  at("door").hidden = true;
  at("board").hidden = false;
  listen();
}

function ask() {
  at("board").hidden = true;
  at("door").hidden = false;
  at("token").focus();
}

at("door").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch("/session", { method: "POST", body: JSON.stringify({ token: at("token").value }) }).catch(() => null);
  at("token").value = "";
  if (answer?.ok) {
    at("door-error").textContent = "";
    return enter();
  }
  at("door-error").textContent = answer ? { 401: "The token is wrong.", 429: "Too many wrong tokens are being tried. Try again." }[answer.status] ?? await answer.text() : "The dashboard does not answer.";
});

at("leave").addEventListener("click", async () => {
  await fetch("/session", { method: "DELETE" }).catch(() => null);
  location.reload();
});

// --- the socket

let socket = null, pause = 500;

function listen() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
  socket.onmessage = ({ data }) => { pause = 500; hear(JSON.parse(data)); };
  socket.onclose = () => later();
}

function later() {
  show_status("away", "Disconnected, reconnecting");
  setTimeout(enter, pause * (0.5 + Math.random()));
  pause = Math.min(pause * 2, 15_000);
}

function hear(message) {
  state.heard = Date.now();
  state.ahead = message.now - Date.now() / 1000;
  state.exporters = message.exporters;
  at("tenant").hidden = message.tenant === null;
  at("tenant").textContent = message.tenant ?? "";
  if (message.type === "dropped") state.missed += message.count;
  if (message.type === "snapshot") {
    Object.assign(state, { seconds: new Map(), minutes: new Map(), turns: [], errors: [], base: message.latency_base });
  }
  if (message.pipeline) {
    at("pipeline").textContent = message.pipeline;
    document.title = `${message.pipeline} · victor`;
  }
  for (const bucket of message.seconds ?? []) state.seconds.set(bucket.t, bucket);
  for (const bucket of message.minutes ?? []) state.minutes.set(bucket.t, bucket);
  state.turns = [...state.turns, ...(message.turns ?? [])].slice(-TAIL);
  state.errors = [...state.errors, ...(message.errors ?? [])].slice(-TAIL);
  state.stale = true;
}

// --- drawing

function draw() {
  const now = Date.now() / 1000 + state.ahead;
  forget(state.seconds, now - 600);
  forget(state.minutes, now - 7 * 86400);
  if (state.heard) {
    if (Date.now() - state.heard < SILENCE_MS) show_status("live", "Live");
    else show_status("away", "No data for a while");
  }
  const kept = state.window === 600 ? state.seconds : state.minutes;
  const from = now - state.window;
  const buckets = [...kept.values()].filter((bucket) => bucket.t > from);
  const all = sum(buckets);
  const changed = state.stale || buckets.length !== state.shown;
  state.shown = buckets.length;
  figures(all);
  for (const one of charts) {
    one.draw(columns(buckets, from, now, WIDTHS[state.window]), { fine: state.window === 600, base: state.base, changed });
  }
  if (!changed) return;  // unchanged text stays in place: it may be selected, or read aloud
  state.stale = false;
  tools(all);
  errors(all);
  variants(all);
  tail();
  delivery();
  at("gap").hidden = !state.missed;
  at("gap").textContent = `This page was too slow and missed ${count(state.missed)} messages. It has been reloaded with all data.`;
}

const forget = (kept, before) => { for (const time of kept.keys()) if (time <= before) kept.delete(time); };

function show_status(kind, text) {
  if (at("status").textContent === text) return;  // screen readers announce each change
  at("status").dataset.state = kind;
  at("status").textContent = text;
}

function put(id, text, kind = "") {
  const place = at(id);
  if (place.textContent !== text) place.textContent = text;
  if (place.dataset.kind !== kind) { place.dataset.kind = kind; place.classList.toggle("bad", kind === "bad"); }
}

function figures(all) {
  put("turns", count(all.turns));
  put("turns-more", `${(all.turns / (state.window / 60)).toFixed(all.turns / (state.window / 60) < 10 ? 1 : 0)} per minute`);
  put("failed", count(all.failed), all.failed ? "bad" : "");
  put("failed-more", `${share(all.failed, all.turns)} of turns`);
  put("tokens", brief(all.input + all.output));
  const cached = all.cached ? ` (${share(all.cached, all.input)} cached)` : "";
  const thoughts = all.reasoning ? ` (${share(all.reasoning, all.output)} thoughts)` : "";
  put("tokens-more", `${brief(all.input)} in${cached}, ${brief(all.output)} out${thoughts}`);
  put("cost", all.unpriced && !all.cost ? "unknown" : usd(all.cost));
  const tools = [...all.tools.values()].reduce((sum, [, , price]) => sum + price, 0);
  put("cost-more", [
    all.unpriced ? `${count(all.unpriced)} ${all.unpriced === 1 ? "call" : "calls"} of unknown price` : all.turns && all.cost ? `${usd(all.cost / all.turns)} per turn` : "",
    tools ? `tools ${usd(tools)} more` : "",
  ].filter(Boolean).join(", "));
  const [half, most, nearly] = [0.5, 0.95, 0.99].map((part) => percentile(all.latency, part, state.base));
  put("latency", duration(half));
  put("latency-more", `p95 ${duration(most)}, p99 ${duration(nearly)}`);
}

const fill = (id, content) => at(id).replaceChildren(content);
const nothing = (text) => element("p", { class: "none" }, text);

function tools(all) {
  const found = [...all.tools].sort((a, b) => b[1][0] - a[1][0]);
  if (!found.length) return fill("tools", nothing("No tool calls in this time range."));
  const most = found[0][1][0];
  fill("tools", table(["Tool", "", "Calls", "Failed", "Price"], found.map(([name, [calls, failed, price]]) => [
    { text: name, class: "name" },
    { children: [element("meter", { min: 0, max: most, value: calls, "aria-hidden": "true" })] },
    { text: count(calls), class: "n" },
    { text: failed ? `${count(failed)} (${share(failed, calls)})` : "0", class: failed ? "n bad" : "n dim" },
    { text: price ? usd(price) : "–", class: "n dim" },
  ]), { numbers: [2, 9] }));
}

function errors(all) {
  const found = [...all.errors].sort((a, b) => b[1] - a[1]);
  if (!found.length) return fill("errors", nothing("No errors in this time range."));
  fill("errors", table(["Code", "Last", "Count"], found.map(([code, times]) => {
    const last = state.errors.findLast((error) => error.code === code);
    const where = last ? [last.node, last.message].filter(Boolean).join(": ") : "";
    return [
      { text: code, class: "name bad" },
      { children: [element("span", { class: "dim" }, last ? `${clock(last.time, true)} ${where}` : "")] },
      { text: count(times), class: "n" },
    ];
  }), { numbers: [2, 9] }));
}

function variants(all) {
  if (!all.arms.size) return fill("variants", nothing("No experiment had turns in this time range."));
  const tables = [...all.arms].sort().map(([experiment, arms]) => table(
    ["Arm", "Turns", "Failed", "Median", "p95", "Tokens per turn", "Cost per turn"],
    [...arms].sort().map(([arm, tally]) => [
      { text: arm, class: "name" },
      count(tally.turns),
      { text: share(tally.failed, tally.turns), class: tally.failed ? "n bad" : "n" },
      duration(percentile(tally.latency, 0.5, state.base)),
      duration(percentile(tally.latency, 0.95, state.base)),
      count(Math.round((tally.input + tally.output) / tally.turns)),
      tally.unpriced ? cost(tally) === "unknown" ? "unknown" : `${usd(tally.cost / (tally.turns - tally.unpriced))} where known` : usd(tally.cost / tally.turns),
    ]), { caption: experiment, numbers: [1, 9], wide: true }));
  fill("variants", element("div", { class: "variants" }, ...tables));
}

function tail() {
  const turns = (state.paused ?? state.turns).slice(-SHOWN).reverse();
  if (!turns.length) return fill("tail", nothing("No turns yet. Finished turns appear here."));
  const fresh = new Set(turns.map((turn) => turn.id));
  const first = state.seen.size === 0;
  fill("tail", element("div", { class: "scroll" }, table(
    ["Time", "Session", "Model", "Variants", "Plan", "Tokens in", "Tokens out", "Cost", "Latency", "Ended"],
    turns.map((turn) => ({
      class: first || state.seen.has(turn.id) ? "" : "new",
      cells: [
        { text: clock(turn.time, true), class: "dim" },
        { children: [turn.session, ...(turn.tenant === null ? [] : [" ", element("span", { class: "chip" }, turn.tenant)])], class: "name" },
        turn.model,
        { children: Object.entries(turn.variants).flatMap(([experiment, arm]) => [element("span", { class: "chip" }, `${experiment}: ${arm}`), " "]), text: "" },
        { children: [element("span", { class: "dim", title: turn.plan }, turn.plan.slice(0, 8))] },
        { text: count(turn.input), class: "n" },
        { text: count(turn.output), class: "n" },
        { text: turn.cost === null ? "unknown" : usd(turn.cost), class: turn.cost === null ? "n dim" : "n" },
        { text: duration(turn.latency_ms), class: "n" },
        { text: turn.stop_reason, class: turn.stop_reason === "error" ? "bad" : "dim" },
      ],
    })), { numbers: [5, 8], wide: true })));
  state.seen = fresh;
}

function delivery() {
  at("delivery-card").hidden = !state.exporters.length;
  fill("delivery", table(
    ["Exporter", "Delivered", "Waiting", "Lag", "Retries", "Dead letters", "Dropped", "State"],
    state.exporters.map((one) => [
      { text: one.exporter.replace("exporters/", ""), class: "name" },
      count(one.delivered), count(one.waiting), one.waiting ? duration(one.lag_s * 1000) : "–", count(one.retries),
      { text: count(one.put_aside), class: one.put_aside ? "n bad" : "n" },
      { text: count(one.dropped), class: one.dropped ? "n bad" : "n" },
      { text: one.fault ?? "OK", class: one.fault ? "bad" : "good" },
    ]), { numbers: [1, 6], wide: true }));
}

// --- choices

at("window").addEventListener("change", (event) => {
  state.window = Number(event.target.value);
  state.stale = true;
  draw();
});

at("pause").addEventListener("click", () => {
  state.paused = state.paused ? null : [...state.turns];
  at("pause").setAttribute("aria-pressed", String(state.paused !== null));
  at("pause").textContent = state.paused ? "Paused" : "Pause";
  tail();
});

function show_theme() {
  at("theme").textContent = `Theme: ${document.documentElement.dataset.theme ?? "auto"}`;
  for (const one of charts) one.recolour();
}

at("theme").addEventListener("click", () => {
  const next = { auto: "light", light: "dark", dark: "auto" }[document.documentElement.dataset.theme ?? "auto"];
  if (next === "auto") { delete document.documentElement.dataset.theme; localStorage.removeItem("victor-theme"); }
  else { document.documentElement.dataset.theme = next; localStorage.setItem("victor-theme", next); }
  show_theme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show_theme);

show_theme();
setInterval(() => { if (!document.hidden && !at("board").hidden) draw(); }, 1000);
document.addEventListener("visibilitychange", () => { if (!document.hidden && !at("board").hidden) draw(); });
enter();
