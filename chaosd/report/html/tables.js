/* SPDX-License-Identifier: Apache-2.0 */
/* Checks by category, the load's figures, the worst requests. */
const GRAVITY = ["pass", "skipped", "aborted", "inconclusive", "fail"];
const worstOf = (list) => list.reduce((a, b) => (GRAVITY.indexOf(b) > GRAVITY.indexOf(a) ? b : a), "pass");
const chip = (verdict) => el("span", { class: "chip " + verdict }, verdict === "pass" || verdict === "fail" ? verdict.toUpperCase() : verdict);

function makeChecks() {
  const groups = new Map();
  for (const c of data.checks) groups.set(c[0], (groups.get(c[0]) || []).concat([c]));
  byId("checks").hidden = !data.checks.length;
  const sorted = [...groups].sort((a, b) => GRAVITY.indexOf(worstOf(b[1].map((c) => c[2]))) - GRAVITY.indexOf(worstOf(a[1].map((c) => c[2]))));
  for (const [name, list] of sorted) {
    const rows = list.map(([, check, verdict, why]) => el("li", null, el("code", null, check), chip(verdict), el("span", { class: "reason" }, why)));
    byId("check-groups").append(el("div", { class: "check-group" }, el("div", { class: "head" }, el("h3", null, name), chip(worstOf(list.map((c) => c[2])))), el("ul", null, rows)));
  }
  if (data.checks_left_out > 0) byId("check-groups").append(el("p", { class: "note" }, `${count(data.checks_left_out)} more are in summary.json.`));
}

function figureName(f) {
  return f.target ? el("td", { class: "sub" }, "at " + f.target) : f.lane ? el("td", { class: "sub" }, f.lane) : el("td", null, f.load + (f.control ? " (control)" : ""));
}

function makeFigures() {
  byId("figures").hidden = !data.figures.length && !data.programs.length;
  byId("worst").before(...data.programs.map((text) => el("p", { class: "note" }, text)));
  if (!data.figures.length) return;
  const head = ["Load", "Planned", "Good", "Available", "p50", "p90", "p99", "Max", "Windows", "Why bad"];
  const order = [...data.figures].sort((a, b) => a.load_index - b.load_index);
  const rows = order.map((f) => el("tr", { class: !f.target && !f.lane ? "whole" : null }, figureName(f), el("td", null, count(f.planned)), el("td", null, count(f.good)), el("td", null, percent(f.available)),
    el("td", null, msBare(f.p50)), el("td", null, msBare(f.p90)), el("td", null, msBare(f.p99)), el("td", null, msBare(f.max)), el("td", null, f.planned || f.windows ? count(f.windows) : "?"),
    el("td", { class: "wide" }, Object.entries(f.reasons).map(([k, v]) => `${k} ${count(v)}`).join(", "))));
  const left = data.figures_left_out > 0 ? el("p", { class: "note" }, `${count(data.figures_left_out)} more rows are in summary.json.`) : null;
  byId("figures-table").append(...[el("table", null, el("caption", { class: "sr" }, "Requests and latency in ms by load, lane and target"),
    el("thead", null, el("tr", null, head.map((h, i) => el("th", { scope: "col", class: i === 9 ? "left" : null }, h)))), el("tbody", null, rows)), left].filter(Boolean));
}

function makeWorst() {
  if (!data.worst.length) return;
  const targets = new Map(data.targets), head = ["Planned at", "Latency", "Outcome", "Load", "Lane", "Target", "Status"];
  const rows = () => data.worst.map(([t, latency, load, lane, target, reason, status]) => el("tr", null, el("td", null, moment(t, 1)), el("td", null, ms(latency)),
    el("td", { class: "left" }, reason ? "bad: " + reason : "good, slow"), el("td", { class: "left" }, (data.loads[load] || { name: String(load) }).name), el("td", { class: "left" }, lane),
    el("td", { class: "left" }, target < 0 ? "" : targets.get(target) || `target-${target}`), el("td", null, status || "")));
  const box = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "The worst requests" });
  const details = el("details", null, el("summary", null, `The worst ${data.worst.length} requests, as they were`), box);
  details.addEventListener("toggle", () => { /* built when somebody looks */
    if (!box.firstChild) box.append(el("table", null, el("thead", null, el("tr", null, head.map((h, i) => el("th", { scope: "col", class: i >= 2 && i < 6 ? "left" : null }, h)))), el("tbody", null, rows())));
  });
  byId("worst").append(details);
}
