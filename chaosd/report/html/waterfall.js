/* SPDX-License-Identifier: Apache-2.0 */
/* What users saw against what the control plane said, on one axis from the act on. */

/* What a milestone follows on, of the same object: its bar begins there. "": the act. */
const AFTER = {
  "deletion stamped": [""], "endpoint not ready": ["deletion stamped", ""], "endpoint gone": ["endpoint not ready", ""], "containers ended": ["deletion stamped", ""],
  "pod gone": ["containers ended", "deletion stamped", ""], "replacement created": [""], scheduled: ["replacement created", ""], started: ["scheduled", "containers ended", ""],
  ready: ["started", "not ready", ""], "endpoint added": ["ready", "endpoint not ready", ""], "whole again": [""], uncordoned: ["cordoned", ""], "node ready": ["node not ready", "node not heard of", ""],
};
const TONES = [[/^(deletion|containers|pod gone|pod failed|not ready|held back)/, "down"], [/^endpoint (not|gone)/, "unready"], [/^(ready|endpoint added|whole)/, "ready"], [/^(replacement|scheduled|started)/, "starting"],
  [/^API/, "stall"], [/^event/, "p99"], [/^lease/, "p50"], [/^(node|cordoned|uncordoned)/, "frozen"]];
const toneOf = (what) => (TONES.find(([pattern]) => pattern.test(what)) || [null, "fault"])[1];

/* Milestones of one kind share a row. */
function waterfallRows(c) {
  const rows = new Map();
  for (const [what, at, from, object, stamp, note, late] of c.timeline) rows.set(what, (rows.get(what) || []).concat([{ what, at, from, object, stamp, note, late }]));
  return [...rows].map(([what, list]) => ({ what, list }));
}

function begunAt(c, m) {
  if (m.what === "accepted" || m.what === "API gap" || m.late) return known(m.from) ? m.from : m.at;
  for (const what of AFTER[m.what] || []) {
    const found = what === "" ? [null, 0] : c.timeline.find((x) => x[0] === what && x[3] === m.object && x[1] <= m.at);
    if (found && found[1] <= m.at) return found[1];
  }
  return m.at;
}

function waterfallSpan(c) {
  const times = [0, ...c.timeline.flatMap((x) => [x[1], ...(known(x[2]) ? [x[2]] : [])]), ...[...c.windows, ...c.degradation].flatMap((d) => [d[9], d[10]]), c.sustained].filter(known);
  const from = Math.min(...times), to = Math.max(...times, from + 1);
  return [from - (to - from) * 0.01, to + (to - from) * 0.01];
}

function stroke(root, tag, attributes, color, property) {
  const node = svg(tag, attributes);
  node.style[property || "fill"] = `var(--${color})`;
  root.append(node);
  return node;
}

/* A row's plot: lines that go through all rows first, then what is its own. */
function plot(axis, height) {
  const root = svg("svg", { class: "wf-plot", height, "aria-hidden": "true" });
  for (const t of axis.list) root.append(svg("line", { x1: axis.x(t) + "%", x2: axis.x(t) + "%", y1: 0, y2: height, class: "grid-line" }));
  if (known(axis.good)) stroke(root, "line", { x1: axis.x(axis.good) + "%", x2: axis.x(axis.good) + "%", y1: 0, y2: height, "stroke-width": 1.5, "stroke-dasharray": "4 3" }, "good", "stroke");
  stroke(root, "line", { x1: axis.x(0) + "%", x2: axis.x(0) + "%", y1: 0, y2: height, "stroke-width": 1.5 }, "fault", "stroke");
  return root;
}

function bar(root, axis, from, to, y, height, color, opacity) {
  const x1 = axis.x(Math.max(from, axis.from)), x2 = axis.x(Math.min(to, axis.to));
  const node = stroke(root, "rect", { x: x1 + "%", width: Math.max(x2 - x1, 0.25) + "%", y, height, rx: 2 }, color);
  if (opacity) node.style.opacity = opacity;
  return node;
}

function userRow(axis, load, windows, slow, narrow) {
  const root = plot(axis, 24), ends = (d) => (known(d[10]) ? d[10] : axis.to), all = [...slow, ...windows];
  for (const d of slow) {
    bar(root, axis, known(d[3]) ? ends(d) - d[3] : d[9], ends(d), 5, 14, "slow-bracket");
    bar(root, axis, d[9], ends(d), 8, 8, d[5] || d[8] ? "doubt" : "slow").append(svg("title", null, `${load}: slow or bad ${bracket(d[1], d[2], d[3])}`));
  }
  for (const d of windows) {
    bar(root, axis, known(d[3]) ? ends(d) - d[3] : d[9], ends(d), 3, 18, "bracket");
    bar(root, axis, d[9], ends(d), 6, 12, d[5] || d[8] ? "doubt" : "window").append(svg("title", null, `${load}: down ${bracket(d[1], d[2], d[3])}`));
  }
  const worst = (windows.length ? windows : slow).reduce((x, y) => ((y[3] ?? Infinity) > (x[3] ?? Infinity) ? y : x)), word = windows.length ? "down" : "slow";
  return { name: load, root, value: narrow ? `${word} ${ms(worst[2])}` : `${word} ${bracket(worst[1], worst[2], worst[3])}`, title: windows.length > 1 ? `the worst of ${windows.length}` : null };
}

function userRows(c, axis, narrow) {
  const loads = [...new Set([...c.windows, ...c.degradation].map((d) => d[0]))];
  if (loads.length) return loads.map((load) => userRow(axis, load, c.windows.filter((d) => d[0] === load), c.degradation.filter((d) => d[0] === load), narrow));
  return [{ name: "every load", root: plot(axis, 24), value: c.sustained === 0 ? "no failure" : "too few requests" }];
}

const place = (m) => `${m.what}: ${m.object}, ${m.late ? `somewhen from ${ms(m.from)} to ` : ""}${ms(m.at)}` + (m.stamp ? `, server’s time ${m.stamp}` : "") + (m.note ? `, ${m.note}` : "");

function milestoneRow(c, axis, { what, list }, narrow) {
  const root = plot(axis, 20), tone = toneOf(what), first = list[0], last = list[list.length - 1], begun = list.map((m) => begunAt(c, m));
  list.forEach((m, i) => {
    if (m.at > begun[i]) bar(root, axis, begun[i], m.at, m.late ? 8.5 : 6, m.late ? 3 : 8, m.late ? "doubt" : tone, 0.55);
  });
  for (const m of list) {
    const dot = stroke(root, "circle", { cx: axis.x(m.at) + "%", cy: 10, r: 4.5, "stroke-width": 2 }, m.late ? "card" : tone);
    if (m.late) dot.style.stroke = "var(--doubt)";
    dot.append(svg("title", null, place(m)));
  }
  const time = what === "accepted" && known(first.from) ? `took ${ms(first.at - first.from)}` : first.at === last.at ? ms(last.at) : `${narrow ? "" : msBare(first.at) + " "}… ${ms(last.at)}`, names = [...new Set(list.map((m) => m.object))];
  const whose = names.length > 1 ? `${first.object} +${names.length - 1}` : first.object;
  return { name: what, root, value: narrow ? time : `${time} · ${whose}`, title: list.slice(0, 20).map(place).join("\n") };
}

/* What had to come: from the last that was seen of the same object on. */
function missingRow(c, axis, what) {
  const root = plot(axis, 20), list = c.not_reached.filter((m) => m[0] === what), why = list.map((m) => m[2]).filter(known).join("; ");
  for (const [, object] of list) {
    const from = c.timeline.filter((x) => x[3] === object && !/^(event|accepted)/.test(x[0])).reduce((t, x) => Math.max(t, x[1]), 0);
    stroke(root, "line", { x1: axis.x(from) + "%", x2: "100%", y1: 10, y2: 10, "stroke-width": 2, "stroke-dasharray": "2 4" }, "fail", "stroke");
  }
  return { name: what, root, value: "not reached", tone: "missing", title: why };
}

function axisRow(axis, narrow) {
  const root = svg("svg", { class: "wf-plot", height: 20, "aria-hidden": "true" });
  let last = -Infinity;
  for (const t of axis.list) {
    const x = axis.x(t);
    if (x < 1.5 || x > 97 || x - last < (narrow ? 22 : 7)) continue;
    last = x;
    root.append(svg("text", { x: axis.x(t) + "%", y: 14, "text-anchor": "middle" }, t === 0 ? "act" : axis.step === 1 ? (t < 1000 ? `${t} ms` : `${t / 1000} s`) : moment(t, axis.step)));
  }
  return { name: "", root, value: "" };
}

/* The same in words, with the server's own times and what does not fit beside a bar. */
function timelineTable(c) {
  const rows = c.timeline.map(([what, at, from, object, stamp, note, late]) => el("tr", null, el("td", null, known(from) && from < at ? `${msBare(from)} … ${msBare(at)}` : msBare(at)), el("td", { class: "left" }, what + (late ? " (seen late)" : "")),
    el("td", { class: "left" }, object), el("td", { class: "left" }, stamp || ""), el("td", { class: "wide" }, note || "")));
  const head = ["ms", "What", "Of", "Server’s time", ""];
  const left = c.timeline_left_out ? el("p", { class: "note" }, `${count(c.timeline_left_out)} more were seen.`) : null;
  return el("details", null, el("summary", null, "What the control plane said, with its own times"), el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "The control plane’s timeline" },
    el("table", null, el("thead", null, el("tr", null, head.map((h, i) => el("th", { scope: "col", class: i ? "left" : null }, h)))), el("tbody", null, rows)), left));
}

const missingText = (c) => (c.not_reached.length ? el("p", { class: "note" }, "Not reached: " + c.not_reached.map(([what, object, why], i) => `${i && c.not_reached[i - 1][1] === object ? ", " : i ? "; " : ""}${what}${i && c.not_reached[i - 1][1] === object ? "" : ` of ${object}`}${why ? ` (${why})` : ""}`).join("") + ".") : null);

/* Time to scale, or drawn out near the act: there users' trouble lies, while a pod may take half a minute to go. */
function makeAxis(c, narrow, stretched) {
  const [from, to] = waterfallSpan(c), f = stretched ? (t) => Math.sign(t) * Math.sqrt(Math.abs(t)) : (t) => t, scale = ticks(from, to, narrow ? 3 : 8);
  const unit = 10 ** Math.floor(Math.log10(to)), near = stretched ? [0, ...[0.01, 0.05, 0.2, 0.5, 1, 2, 5].map((k) => k * unit).filter((t) => t >= 1 && t <= to)] : scale.list;
  return { from, to, list: narrow && stretched ? near.filter((t, i) => i % 2 === 0) : near, step: stretched ? 1 : scale.step, good: c.noticed ? c.sustained : null, x: (t) => Number((((f(t) - f(from)) / (f(to) - f(from))) * 100).toFixed(3)) };
}

function waterfall(c) {
  if (!c.timeline) return null;
  const told = [c.sustained, c.redundancy, ...[...c.windows, ...c.degradation].map((d) => d[10])].filter(known), [, to] = waterfallSpan(c);
  const box = el("div"), show = (stretched) => box.replaceChildren(drawWaterfall(c, stretched, show));
  show(Math.max(0, ...told) > 0 && to > 4 * Math.max(...told));
  return el("div", null, box, missingText(c), timelineTable(c));
}

function drawWaterfall(c, stretched, show) {
  const narrow = byId("cards").clientWidth < 600, axis = makeAxis(c, narrow, stretched), other = el("button", { type: "button" }, stretched ? "Time to scale" : "Draw out the beginning");
  other.addEventListener("click", () => { show(!stretched); });
  const rows = waterfallRows(c), missing = [...new Set(c.not_reached.map((m) => m[0]))];
  const said = [...rows.map((r) => milestoneRow(c, axis, r, narrow)), ...missing.map((what) => missingRow(c, axis, what)), axisRow(axis, narrow)];
  const lines = [["What users saw" + (known(axis.good) ? ` (dashed: served for good again after ${ms(axis.good)})` : ""), userRows(c, axis, narrow)], ["What the control plane said", said]].flatMap(([title, list]) => [el("div", { class: "wf-title" }, title),
    ...list.flatMap((r) => [el("div", { class: "wf-name " + (r.tone || "") }, r.name), r.root, el("div", { class: "wf-value " + (r.tone || ""), title: r.title ? clean(r.title) : null }, r.value)])]);
  return el("div", { class: "wf-box" }, el("div", { class: "tools" }, stretched ? "Not to scale: the beginning is drawn out." : null, other), el("div", { class: "wf", role: "img", "aria-label": `From the act on: what users saw, above ${rows.length} kinds of milestones of the control plane. The table below says the same in words.` }, lines));
}
