/* SPDX-License-Identifier: Apache-2.0 */
/* One card a fault: what was done to whom, what came of it, and the evidence. */
const fact = (name, value, wide) => (known(value) && value !== "" ? el("div", { class: wide ? "wide" : null }, el("dt", null, name), el("dd", null, value)) : null);

function cardState(c) {
  if (c.skipped) return ["skipped", c.unable ? "cannot be done here" : "skipped"];
  if (c.stuck) return ["fail", "NOT REVERTED"];
  if (!c.acted) return ["fail", c.unclear ? "no answer" : "failed"];
  if (c.holds && !c.reverted) return ["inconclusive", "not seen reverted"];
  if (!c.observed) return ["inconclusive", c.trouble ? "not as asked" : c.unseen || "never seen in effect"];
  if (c.trouble) return ["inconclusive", "not as asked"];
  if (c.stalled) return ["inconclusive", "chaosd stalled"];
  if (c.suspect) return ["inconclusive", "a control failed too"];
  if (c.censored) return ["inconclusive", "recovery not seen"];
  return ["pass", c.holds ? "in effect, reverted" : "in effect"];
}

const lostStory = (c) => { const n = c.losses.reduce((sum, l) => sum + l[1], 0); return n ? ` ${count(n)} write${n === 1 ? "" : "s"} that had been acknowledged ${n === 1 ? "is" : "are"} lost.` : ""; };

/* The card in a sentence or two, for who reads nothing else. */
function story(c) {
  const who = c.target || "nobody";
  if (c.skipped) return `Not carried out: ${c.why || "nothing was applicable"}.`;
  if (!c.acted) return `${c.unclear ? "It may have been carried out, unseen" : "It could not be carried out"}${c.why ? ": " + c.why : ""}.${c.revert_why ? ` It was not reverted: ${c.revert_why}.` : ""}`;
  const hit = `At ${moment(c.at, 10)} ${c.kind} hit ${who}${c.role_before && c.role ? `, the ${c.role} at that moment` : ""}`;
  const length = c.degradation.length && c.degradation.every((d) => known(d[3])) ? `, for ${ms(Math.max(...c.degradation.map((d) => d[3])))} at most` : "";
  const slow = c.degradation.length ? `${c.degradation.some((d) => d[4]) ? "" : "no request failed, but "}users were served slowly${length}.` : "no user noticed.";
  if (!c.noticed) return `${hit}; ${c.sustained === 0 ? slow : "too few requests followed to say what users saw."}${lostStory(c)}`;
  const first = known(c.detect) ? ` Users saw the first failure ${ms(c.detect)} later` : " Users saw failures";
  const end = known(c.sustained) ? ` and were served for good again after ${ms(c.sustained)}.` : `, and were not seen to be served for good again${c.at_least > 0 ? ` for at least ${ms(c.at_least)}` : ""}.`;
  const after = c.role_after ? ` ${c.role_after} was seen as ${c.role} after ${ms(c.role_after_at)}.` : "";
  return `${hit}.${first}${end}${after}${lostStory(c)}`;
}

const MILESTONES = [["detect", "first failure", "bad"], ["sustained", "good for good", "good"], ["redundancy", "all replicas ready", "p50"], ["first_good", "first good", "good"], ["reverted_after", "reverted", "fault"]];

/* Points too near to each other for a label each share one, which names the weightiest of them. */
function clusters(points, apart, names) {
  const list = [];
  for (const p of points) {
    const last = list[list.length - 1];
    if (last && p.x - last[0].x < apart) last.push(p);
    else list.push([p]);
  }
  return list.map((c) => ({ x: c[0].x, to: c[c.length - 1].x, text: [...c].sort((a, b) => a.weight - b.weight).slice(0, names).map((p) => (p.at ? `${p.name} ${ms(p.at)}` : p.name)).join(" · ") }));
}

/* Milestones to scale, in percent of the width. */
function track(c) {
  const points = MILESTONES.map(([key, name, tone], i) => ({ at: c[key], name, tone, weight: i + 1 })).filter((p) => known(p.at) && p.at > 0);
  const most = Math.max(...points.map((p) => p.at), 0);
  if (!c.acted || !(most > 0)) return null;
  const x = (t) => 1 + (t / most) * 97.5, root = svg("svg", { class: "track", "aria-hidden": "true" });
  const line = (a, b, name, w) => { const l = svg("line", { x1: x(a) + "%", x2: x(b) + "%", y1: 14, y2: 14, "stroke-width": w }); l.style.stroke = `var(--${name})`; root.append(l); };
  line(0, most, "line", 4);
  if (known(c.detect) && known(c.sustained) && c.noticed) line(c.detect, c.sustained, "bracket", 6);
  const all = [{ at: 0, name: "act", tone: "fault", weight: 0 }, ...points.sort((a, b) => a.at - b.at)].map((p) => ({ ...p, x: x(p.at) }));
  for (const p of all) {
    const dot = svg("circle", { cx: p.x + "%", cy: 14, r: 6 });
    dot.style.fill = `var(--${p.tone})`;
    root.append(dot);
  }
  const narrow = byId("cards").clientWidth < 600;
  for (const k of clusters(all, narrow ? 45 : 26, narrow ? 1 : 2))
    root.append(k.x > 50 ? svg("text", { x: Math.max(k.to, 60) + "%", y: 38, "text-anchor": "end", dx: 6 }, k.text) : svg("text", { x: k.x + "%", y: 38, dx: -6 }, k.text));
  return root;
}

const dataText = (before, after) => {
  const keys = Object.keys(before || after || {}).filter((k) => !/id$/i.test(k) || Object.keys(before || after).length === 1);
  return keys.map((k) => `${k} ${(before || {})[k] ?? "?"} → ${(after || {})[k] ?? "?"}`).join(", ");
};

function facts(c) {
  const noted = (stalled, shared, suspect) => (stalled ? ", chaosd itself stalled" : "") + (suspect ? `, not judged: ${suspect}` : "") + (shared.length ? `, shared with ${shared.join(", ")}` : "");
  const windows = c.windows.map(([load, min, point, max, bad, stalled, , shared, suspect]) => `${load}: ${bracket(min, point, max)}, ${count(bad)} bad${noted(stalled, shared, suspect)}`).join("; ");
  const slow = c.degradation.map(([load, min, point, max, bad, stalled, n, shared, suspect]) => `${load}: ${bracket(min, point, max)}, ${count(n)} slow, ${count(bad)} bad${noted(stalled, shared, suspect)}`).join("; ");
  const losses = c.losses.map(([load, lost, first, last, min, max]) => `${load}: ${count(lost)} lost, acknowledged ${moment(first, 10)} to ${moment(last, 10)} (RPO ${msBare(min)} … ${msBare(max)} ms)`).join("; ");
  const milestone = (key) => (known(c[key]) ? (c[key] === 0 && key !== "detect" && !c.noticed ? "not needed" : ms(c[key])) : c.acted ? "not seen" : null);
  const more = c.candidate_count > (c.candidates || []).length ? ` and ${count(c.candidate_count - c.candidates.length)} more` : "";
  return el("dl", { class: "facts" },
    fact("First failure", c.noticed ? milestone("detect") : c.acted ? "none" : null), fact("First good after it", milestone("first_good")),
    fact("Good for good", milestone("sustained")), fact("Every replica ready", milestone("redundancy")),
    fact("Downtime, least … likely … most", windows, windows.length > 60), fact("Degraded, least … likely … most", slow, slow.length > 60), fact("Reverted", c.holds && (c.acted || c.unclear || c.stuck) ? (c.reverted ? (known(c.reverted_after) ? "after " + ms(c.reverted_after) : "yes") : c.stuck ? "NOT REVERTED" : "not seen") : null),
    fact("Acknowledged writes lost", losses, true),
    fact("Victim", (c.target || "none") + (c.pid > 0 ? ` (pid ${c.pid})` : "")), fact("Role", c.role_before ? `${c.role_before} → ${c.role_after || "nobody seen"}` : null),
    fact("Beside the role", dataText(c.data_before, c.data_after)), fact("Drawn from", c.candidates && c.candidates.length ? c.candidates.join(", ") + more : null),
    fact("Draw", c.draw), fact("Planned at", known(c.planned) ? `${moment(c.planned, 1)}` + (known(c.at) ? `, done ${ms(c.at - c.planned)} later` : "") : null),
    fact("Held for", known(c.for) ? ms(c.for) : null), fact("Seen in effect", known(c.observed_after) ? `after ${ms(Math.max(0, c.observed_after))}` : c.acted ? "never" : null),
    fact("The pods’ own words", c.marks.map(([t, name, pod]) => `${name} ${ms(t)} (${pod})`).join(", "), true), fact("On the network", c.effect, true), fact("Not as asked", c.trouble, true), fact("Guard", c.guard), fact("Why", c.skipped || !c.acted ? null : c.why, true), fact("Why not reverted", c.acted ? c.revert_why : null, true));
}

/* A line of JSON is shown as its message and the rest. */
function logText(line) {
  try {
    const o = JSON.parse(line);
    if (o && typeof o === "object" && typeof o.msg === "string") {
      const rest = Object.entries(o).filter(([k]) => !["msg", "ts", "time", "caller", "level"].includes(k)).map(([k, v]) => `${k}=${typeof v === "string" ? v : JSON.stringify(v)}`);
      return `${o.level ? String(o.level).toUpperCase() + " " : ""}${o.msg}${rest.length ? "  " + rest.join(" ") : ""}`;
    }
  } catch (e) { /* not JSON, or cut off: as it is */ }
  return line;
}

function evidence(c) {
  if (!c.log.length) return null;
  const rows = [], act = el("tr", { class: "act" }, el("td", { class: "t" }, "0 ms"), el("td", { class: "pod" }, "chaosd"), el("td", null, `${c.kind} on ${c.target || "nobody"}`));
  let told = false;
  for (const [t, pod, line] of c.log) {
    if (!told && t >= 0) { rows.push(act); told = true; }
    rows.push(el("tr", { class: pod === c.target ? "victim" : null }, el("td", { class: "t" }, (t > 0 ? "+" : "") + ms(t)), el("td", { class: "pod" }, pod), el("td", null, logText(line))));
  }
  if (!told) rows.push(act);
  return el("details", null, el("summary", null, `What the pods logged around it (${c.log.length} lines)`), el("div", { class: "log", tabindex: "0", role: "region", "aria-label": "Log lines around the fault" }, el("table", null, el("tbody", null, rows))));
}

function card(c) {
  const [tone, word] = cardState(c), name = `${c.fault}${c.occurrence ? " #" + c.occurrence : ""}`;
  const show = known(c.at) ? el("button", { type: "button", "aria-label": `Show ${clean(name)} on the timeline` }, "Show on the timeline") : null;
  if (show) show.addEventListener("click", () => { view.showCard(c); byId("timeline").scrollIntoView(); byId("plot").focus({ preventScroll: true }); });
  return el("article", { class: "card", "aria-label": clean(name) },
    el("div", { class: "head" }, el("h3", null, name, " ", el("span", { class: "chip " + tone }, word)), el("div", { class: "tools" }, show)),
    el("p", { class: "story" }, story(c)), c.timeline ? waterfall(c) : track(c), facts(c), evidence(c));
}

function makeCards() {
  byId("faults").hidden = !data.cards.length;
  const left = data.cards_left_out > 0 ? el("p", { class: "note" }, `The ${count(data.cards.length)} gravest of ${count(data.cards.length + data.cards_left_out)} are shown; history.jsonl has them all.`) : null;
  byId("cards").append(...[left, ...data.cards.map(card)].filter(Boolean));
}
