/* SPDX-License-Identifier: Apache-2.0 */
/* Swimlanes: who was hit, who was up, who led, when users could not be served. Plain SVG, drawn anew for each range. */
const ROW = 22, BAR = 14;

const WORDS = { starting: "starting", ready: "ready", unready: "not ready", down: "down", frozen: "frozen", gone: "gone" };

/* Spans of one value from the changes' times; the last reaches to the end. */
const spansOf = (changes) => changes.map((c, i) => ({ from: c[0], to: i + 1 < changes.length ? changes[i + 1][0] : view.full[1], value: c[1], more: c[2] }));

function faultRows() {
  return data.faults.map((f) => ({
    name: f.name, title: `${f.name} (${f.kind})`, left_out: f.left_out,
    draw: (put) => {
      for (const t of f.planned) put.diamond(t, "s-planned", `${f.name}: planned at ${moment(t, 1)}`);
      for (const [, at, until, state, target, occurrence] of f.acts) put.act(at, until, `${f.name} #${occurrence} on ${target || "no pod"} at ${moment(at, 1)}` + (state === "seen" ? "" : `, ${STATES[state] || state}`));
    },
  }));
}
const STATES = { held: "NOT REVERTED", open: "not seen reverted", unseen: "never seen in effect" };

function roleRows() {
  return data.roles.map((r) => ({
    name: r.name, title: `Who is ${r.name}`, left_out: r.left_out,
    draw: (put) => {
      for (const s of spansOf(r.changes)) {
        const more = s.more ? ", " + Object.entries(s.more).map(([k, v]) => `${k} ${v}`).join(", ") : "";
        if (s.value) put.span(s.from, s.to, "s-role", `${r.name}: ${s.value}${more}, ${moment(s.from, 1)} to ${moment(s.to, 1)}`, s.value);
      }
    },
  }));
}

function podRows() {
  return data.pods.map((p) => ({
    name: p.name, title: `${p.name}${p.node ? " on " + p.node : ""}, restarts: ${p.restarts}`, note: p.restarts ? `↻ ${p.restarts}` : "", left_out: p.left_out,
    draw: (put) => {
      for (const s of spansOf(p.spans)) if (s.value !== "gone") put.span(s.from, s.to, "s-" + s.value, `${p.name}: ${WORDS[s.value]}, ${moment(s.from, 1)} to ${moment(s.to, 1)}`);
      for (const [t, name] of p.marks) put.mark(t, `${p.name} logged “${name}” at ${moment(t, 1)}`);
    },
  }));
}

/* Right and wrong while it was asked all along; single answers as dots. A wrong stretch may have begun with the last right question. */
function probeRows() {
  return data.probes.map((p) => ({
    name: p.target ? `${p.target} ${p.name}` : p.name, title: `Probe ${p.name}${p.target ? " on " + p.target : ""}, ${p.mode}`, left_out: p.left_out,
    draw: (put) => {
      const along = p.mode === "continuous" || p.mode === "on-fault";
      p.changes.forEach(([asked, seen, ok, said, before, pod], i) => {
        const next = p.changes[i + 1], end = next ? next[1] : p.until;
        const text = `${p.name}${pod || p.target ? " on " + (pod || p.target) : ""}: ${ok ? "right" : "wrong"}${said ? ", " + said : ""}, at ${moment(asked, 1)}`;
        const pause = p.mode === "on-fault" && next && known(next[4]); /* nobody asked from one fault to the next */
        if (along && !ok && (known(before) || pause)) put.span(known(before) ? before : asked, end, "s-bracket", text);
        if (p.mode === "continuous" || (along && !ok)) put.span(ok ? seen : asked, pause ? Math.max(seen, next[4]) : end, ok ? "s-ready" : "s-window", text);
        else put.dot(seen, ok ? "s-ready" : "s-window", text);
      });
    },
  }));
}

const loadName = (d) => d.load + (d.control ? " (control)" : "");

/* What else must be said of a window: who shares it, and why it may not count. */
function remarks(end, stalled, shared, suspect) {
  return (known(end) ? "" : ", never closed") + (stalled ? ", chaosd itself stalled" : "") + (suspect ? `, not judged: ${suspect}` : "") + (shared.length ? `, shared by ${shared.join(", ")}` : "");
}

function downtimeRows(targets) {
  return data.downtime.filter((d) => Boolean(d.target) === targets).map((d) => ({
    name: d.target ? "at " + d.target : loadName(d), title: `Downtime of ${loadName(d)}${d.target ? " at " + d.target : ""}`, left_out: d.left_out,
    draw: (put) => {
      for (const [outer, start, end, min, point, max, bad, , stalled, , shared, suspect] of d.windows) {
        const to = known(end) ? end : view.full[1];
        const text = `${d.target || d.load}: down ${bracket(min, point, max)}, ${count(bad)} bad, from ${moment(start, 1)}` + remarks(end, stalled, shared, suspect);
        put.span(outer, to, "s-bracket", text);
        put.span(start, to, stalled || suspect ? "s-doubt" : "s-window", text);
      }
    },
  }));
}

const limitText = (d) => d.limits.map(([lane, v]) => ms(v) + (lane ? ` (${lane})` : "")).join(", ");

/* Slow or bad: what is down is drawn in the row above. */
function degradationRows() {
  return data.degradation.map((d) => ({
    name: loadName(d), title: `Degradation of ${loadName(d)}: ` + (d.unknown ? `unknown, ${d.unknown}` : `bad, or slower than ${limitText(d)}`), left_out: d.left_out,
    empty: d.unknown ? "no limit known" : "",
    draw: (put) => {
      for (const [outer, start, end, min, point, max, bad, , stalled, slow, shared, suspect] of d.windows) {
        const to = known(end) ? end : view.full[1];
        const text = `${d.load}: slow or bad ${bracket(min, point, max)}, ${count(slow)} slow, ${count(bad)} bad, from ${moment(start, 1)}` + remarks(end, stalled, shared, suspect);
        put.span(outer, to, "s-slow-bracket", text);
        put.span(start, to, stalled || suspect ? "s-doubt" : "s-slow", text);
      }
    },
  }));
}

const stallRow = () => ({
  name: "chaosd", title: "Stalls of chaosd itself", empty: data.stalls.length ? "" : "never stalled", left_out: data.stall_count - data.stalls.length,
  draw: (put) => { for (const [from, to] of data.stalls) put.span(from, to, "s-stall", `chaosd itself stalled for ${ms(to - from)} at ${moment(from, 1)}`); },
});

function laneGroups() {
  const groups = [
    ["Faults", faultRows(), data.faults_left_out], ["Roles", roleRows()], ["Pods", podRows(), data.pods_left_out], ["Probes", probeRows(), data.probes_left_out],
    ["Downtime", downtimeRows(false).concat(downtimeRows(true)), data.downtime_left_out],
    ["Degradation", degradationRows(), data.degradation_left_out], ["Observer", [stallRow()]],
  ];
  return groups.filter((g) => g[1].length);
}

/* Draws into one row; what is narrower than a pixel and lies on what was drawn last is left out. */
function painter(group, y) {
  const last = {}, mid = y + ROW / 2, inView = (a, b) => known(a) && b >= view.from && a <= view.to;
  const add = (node, text) => group.append(fill(node, null, [svg("title", null, text)]));
  const spread = (from, to) => [Math.max(view.x(from), view.area.x), Math.min(view.x(to), view.area.x + view.area.w)];
  return {
    span: (from, to, cls, text, label) => {
      if (!inView(from, to)) return;
      const [a, b] = spread(from, to), w = Math.max(b - a, 1.5);
      if (w < 2 && last[cls] >= a - 0.7) return;
      last[cls] = a;
      add(svg("rect", { x: a.toFixed(1), y: mid - BAR / 2, width: w.toFixed(1), height: BAR, rx: Math.min(3, w / 2), class: cls }), text);
      if (label && w > 7 * label.length + 8) group.append(svg("text", { x: (a + 5).toFixed(1), y: mid + 4, class: "span-text" }, label));
    },
    diamond: (t, cls, text) => {
      if (!inView(t, t) || last.diamond >= view.x(t) - 0.7) return;
      const x = (last.diamond = view.x(t));
      add(svg("path", { d: `M${x - 5} ${mid}l5 -5l5 5l-5 5z`, class: cls }), text);
    },
    act: (from, to, text) => {
      if (!inView(from, to)) return;
      const [a, b] = spread(from, to);
      if (last.act >= a - 0.7 && b - a < 2) return;
      last.act = a;
      if (b - a > 4) add(svg("rect", { x: a.toFixed(1), y: mid - BAR / 2, width: (b - a).toFixed(1), height: BAR, rx: 3, class: "s-fault" }), text);
      else add(svg("path", { d: `M${a - 5} ${mid - 6}h10l-5 12z`, class: "s-fault" }), text);
    },
    dot: (t, cls, text) => {
      if (!inView(t, t) || last[cls + "."] >= view.x(t) - 0.7) return;
      add(svg("circle", { cx: (last[cls + "."] = view.x(t)).toFixed(1), cy: mid, r: 4, class: cls }), text);
    },
    mark: (t, text) => {
      if (!inView(t, t) || last.mark >= view.x(t) - 0.7) return;
      const x = (last.mark = view.x(t));
      add(svg("path", { d: `M${x} ${mid - 3}l3.2 3l-3.2 3l-3.2 -3z`, class: "s-mark" }), text);
    },
  };
}

function shorten(text, width) {
  const most = Math.max(3, Math.floor(width / 6.6));
  text = clean(text);
  return text.length > most ? text.slice(0, most - 1) + "…" : text;
}

function drawRow(root, row, y, width) {
  const group = svg("g"), names = view.area.x - 12, note = row.note ? row.note.length * 7 + 6 : 0;
  group.append(svg("line", { x1: 0, x2: width, y1: y + ROW, y2: y + ROW, class: "lane-line" }));
  group.append(svg("text", { x: 8, y: y + ROW / 2 + 4, class: "lane-name" }, shorten(row.name, names - 8 - note), svg("title", null, row.title)));
  if (row.note) group.append(svg("text", { x: view.area.x - 8, y: y + ROW / 2 + 4, class: "axis-text", "text-anchor": "end" }, row.note));
  row.draw(painter(group, y));
  const remark = row.left_out > 0 ? `${count(row.left_out)} more not shown` : row.empty;
  if (remark) group.append(svg("text", { x: view.area.x + view.area.w - 4, y: y + ROW / 2 + 4, class: "none", "text-anchor": "end" }, remark));
  root.append(group);
}

function drawAxis(root, height) {
  const { step, list } = ticks(view.from, view.to, tickCount());
  for (const t of list) {
    const x = view.x(t).toFixed(1), edge = view.x(t) > view.area.x + view.area.w - 24;
    root.append(svg("line", { x1: x, x2: x, y1: 20, y2: height, class: "grid-line" }));
    root.append(svg("text", { x, y: 14, class: "axis-text", "text-anchor": edge ? "end" : "middle" }, moment(t, step)));
  }
}

/* Each act as a line through everything below its marker. */
function drawActs(root, height) {
  let last = -9;
  for (const f of data.faults) for (const [, at] of f.acts) {
    const x = view.x(at);
    if (at < view.from || at > view.to || Math.abs(x - last) < 3) continue;
    last = x;
    root.append(svg("line", { x1: x.toFixed(1), x2: x.toFixed(1), y1: 24, y2: height, class: "s-act-line" }));
  }
}

function drawLanes() {
  const box = byId("lanes"), width = box.clientWidth, groups = laneGroups();
  const height = 24 + groups.reduce((h, g) => h + 20 + ROW * (g[1].length + (g[2] > 0 ? 1 : 0)), 0);
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": laneSummary() });
  drawAxis(root, height);
  let y = 22;
  for (const [name, rows, left] of groups) {
    root.append(svg("text", { x: 0, y: y + 14, class: "lane-group" }, name));
    y += 20;
    for (const row of rows) { drawRow(root, row, y, width); y += ROW; }
    if (left > 0) { root.append(svg("text", { x: 8, y: y + 15, class: "none" }, `and ${count(left)} more`)); y += ROW; }
  }
  drawActs(root, height);
  const scroll = box.scrollTop;
  box.replaceChildren(root);
  box.scrollTop = scroll;
}

function laneSummary() {
  const windows = data.downtime.filter((d) => !d.target).reduce((n, d) => n + d.windows.length, 0);
  return `Swimlanes: ${data.faults.length} faults, ${data.pods.length} pods, ${data.probes.length} probes, ${windows} downtime windows, ${data.degradation.reduce((n, d) => n + d.windows.length, 0)} of degradation, ${data.stall_count} stalls of chaosd. The cards and tables below say the same in words.`;
}

const LANE_LEGEND = [
  ["fault", "fault (◇ planned, ▼ carried out)"], ["ready", "ready"], ["starting", "starting"], ["unready", "not ready"], ["down", "down"], ["frozen", "frozen"],
  ["role", "holds the role"], ["window", "users saw failures"], ["bracket", "may have been down"],
  ["slow", "users saw slow answers or failures"], ["doubt", "a window that is not judged"],
];
