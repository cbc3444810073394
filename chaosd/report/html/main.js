/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the page together. */
function setTheme(name) {
  document.documentElement.dataset.theme = name;
  byId("theme").textContent = name === "dark" ? "Light" : "Dark";
  byId("theme").setAttribute("aria-label", name === "dark" ? "Use light colours" : "Use dark colours");
}

function wireTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = false, printing = null;
  const use = (name) => { setTheme(name); makeCharts(); };
  setTheme(system.matches ? "dark" : "light");
  byId("theme").hidden = false;
  byId("theme").addEventListener("click", () => { chosen = true; use(document.documentElement.dataset.theme === "dark" ? "light" : "dark"); });
  system.addEventListener("change", () => { if (!chosen) use(system.matches ? "dark" : "light"); });
  addEventListener("beforeprint", () => { printing = document.documentElement.dataset.theme; use("light"); });
  addEventListener("afterprint", () => { if (printing) use(printing); printing = null; });
}

function makeMeta() {
  const m = data.meta, when = m.wall_ms > 0 && m.wall_ms < 8e15 ? new Date(m.wall_ms).toISOString().replace("T", " ").replace(/\..*/, " UTC") : "time unknown";
  const lasted = known(m.loads_end) ? `, ${moment(m.loads_end, 1000)} of load` : "";
  byId("meta").append(clean(`${when}${lasted}, ${count(m.samples)} requests, seed ${known(m.seed) ? m.seed : "unknown"}`));
  const host = m.host || {};
  byId("origin").append(clean(`Run ${m.run || "unnamed"}, scenario ${m.digest || "without digest"}, chaosd ${m.version || "unknown"}` + (host.kernel ? `, Linux ${host.kernel} ${host.machine || ""}` : "") +
    ". Made from the run’s history alone: “chaosd report” makes the same page again. Times count from the schedule’s start, on one clock."));
}

function wireLoads() {
  const select = byId("load");
  byId("load-pick").hidden = data.loads.length < 2;
  data.loads.forEach((l, i) => select.append(el("option", { value: i }, l.name)));
  select.addEventListener("change", () => { charts.load = Number(select.value); makeCharts(); layout(); });
}

/* Lanes and charts share the charts' plot area, whose width is known once they are drawn. */
function layout() {
  const g = charts.rate, width = byId("plot").clientWidth;
  const area = g ? g.getArea() : { x: width < 560 ? 96 : 124, w: width - (width < 560 ? 96 : 124) };
  view.area = { x: area.x, w: Math.max(area.w, 10) };
  drawLanes();
}

function hover(x) {
  const cursor = byId("cursor"), out = byId("readout");
  cursor.hidden = x === null;
  if (x === null) { out.textContent = ""; return; }
  cursor.style.left = x + "px";
  const t = view.t(x), names = data.loads.length > 1 ? ` · ${clean(currentLoad().name)}` : "";
  const holders = data.roles.map((r) => { const s = r.changes.filter((c) => c[0] <= t).pop(); return s ? ` · ${clean(r.name)}: ${clean(s[1] || "nobody")}` : ""; }).join("");
  out.textContent = `${moment(t, (view.to - view.from) / 500)}${names}${readBucket(t)}${holders}`;
}

function makeLegends() {
  const stalled = data.loads.some((l) => l.stalled && l.stalled.some((n) => n > 0));
  byId("rate-legend").append(...[["good", "good"], ["bad", "bad"], ...(stalled ? [["stall", "not sent: chaosd stalled"]] : [])].map(legendItem));
  byId("latency-legend").append(...[["p50", "p50", true], ["p90", "p90", true], ["p99", "p99", true], ["p99", "slowest requests"], ["bad", "bad requests (at the top)"]].map(legendItem));
  const used = new Set(data.pods.flatMap((p) => p.spans.map((s) => s[1])));
  const wanted = ([name]) => !["ready", "starting", "unready", "down", "frozen"].includes(name) || used.has(name);
  const all = [...data.downtime, ...data.degradation].flatMap((d) => d.windows), unsure = all.some((w) => w[8] || w[11]), slow = data.degradation.some((d) => d.windows.length);
  byId("lane-legend").append(...LANE_LEGEND.filter(wanted).filter(([n]) => (n !== "doubt" || unsure) && (n !== "slow" || slow) && (n !== "role" || data.roles.length) && (n !== "fault" || data.faults.length)).map(legendItem),
    ...(data.probes.some((p) => p.changes.length) ? [["ready", "probe right"], ["window", "probe wrong"]].map(legendItem) : []), ...(data.pods.some((p) => p.marks.length) ? [el("span", null, "◆ the pod’s own log")] : []));
}

function start() {
  wireTheme();
  makeMeta();
  makeChecks();
  makeCards();
  makeFigures();
  makeWorst();
  byId("timeline").hidden = false;
  wireLoads();
  makeLegends();
  makeCharts();
  layout();
  view.listeners.push(updateCharts, drawLanes);
  wirePointer(byId("plot"), hover);
  wireKeys(byId("plot"));
  let timer = null, width = byId("plot").clientWidth;
  new ResizeObserver(() => {
    if (byId("plot").clientWidth === width) return;
    width = byId("plot").clientWidth;
    clearTimeout(timer);
    timer = setTimeout(() => { makeCharts(); layout(); }, 60);
  }).observe(byId("plot"));
}
start();
