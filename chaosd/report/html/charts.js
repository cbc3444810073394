/* SPDX-License-Identifier: Apache-2.0 */
/* Rate and latency of one load over time, by dygraphs. Its own gestures are off: the plot has one set for all of it. */
Dygraph.PLUGINS = Dygraph.PLUGINS.filter((p) => !/legend/i.test(String(p.prototype && p.prototype.toString ? p.prototype.toString() : "")));
const charts = { load: 0, rate: null, latency: null };

const currentLoad = () => data.loads[charts.load] || { name: "", good: null };

/* x in seconds, at the middle of the bucket. */
function rateRows(load) {
  const per = 1000 / load.step;
  return load.good.map((g, i) => [(load.from + (i + 0.5) * load.step) / 1000, (g + load.bad[i] + load.stalled[i]) * per, (g + load.bad[i]) * per, g * per]);
}
function latencyRows(load) {
  const value = (v) => (known(v) && v >= 0 ? Math.max(v, 0.01) : null);
  return load.good.map((g, i) => [(load.from + (i + 0.5) * load.step) / 1000, value(load.p50[i]), value(load.p90[i]), value(load.p99[i])]);
}

/* Bars as wide as a bucket: an outage of one bucket must not be smoothed into a slope. */
function bars(e) {
  const area = e.plotArea, g = e.dygraph, ctx = e.drawingContext, zero = g.toDomYCoord(0), half = currentLoad().step / 2000;
  ctx.fillStyle = e.color;
  for (const p of e.points) {
    if (!(p.yval > 0)) continue;
    const a = g.toDomXCoord(p.xval - half), b = g.toDomXCoord(p.xval + half);
    if (b >= area.x && a <= area.x + area.w) ctx.fillRect(Math.floor(a), p.canvasy, Math.max(Math.ceil(b) - Math.floor(a), 1), zero - p.canvasy);
  }
}

/* Behind the lines: when users saw failures, and when the acts were. */
function underlay(ctx, area, g) {
  const x = (t) => g.toDomXCoord(t / 1000);
  ctx.save();
  ctx.beginPath();
  ctx.rect(area.x, area.y, area.w, area.h);
  ctx.clip();
  ctx.fillStyle = color("shade");
  for (const d of data.downtime) {
    if (d.target || d.load !== currentLoad().name) continue;
    for (const [, start, end] of d.windows) {
      const a = x(start), b = known(end) ? x(end) : area.x + area.w;
      if (b >= area.x && a <= area.x + area.w) ctx.fillRect(a, area.y, Math.max(b - a, 1), area.h);
    }
  }
  ctx.strokeStyle = color("fault");
  ctx.setLineDash([2, 3]);
  let last = -9;
  for (const f of data.faults) for (const [, at] of f.acts) {
    const a = Math.round(x(at)) + 0.5;
    if (a < area.x || a > area.x + area.w || Math.abs(a - last) < 3) continue;
    last = a;
    ctx.beginPath(); ctx.moveTo(a, area.y); ctx.lineTo(a, area.y + area.h); ctx.stroke();
  }
  ctx.restore();
}

function dashed(ctx, area, g, value, text) {
  const y = Math.round(g.toDomYCoord(value)) + 0.5;
  if (!(value > 0) || y < area.y || y > area.y + area.h) return;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = color("muted");
  ctx.setLineDash([5, 4]);
  ctx.beginPath(); ctx.moveTo(area.x, y); ctx.lineTo(area.x + area.w, y); ctx.stroke();
  ctx.font = "11px system-ui, sans-serif";
  ctx.textAlign = "right";
  ctx.fillText(text, area.x + area.w - 4, y - 4 < area.y + 10 ? y + 12 : y - 4);
  ctx.restore();
}

/* The worst requests as they were: slow ones where they lie, bad ones at the top. */
function drawWorst(ctx, area, g) {
  ctx.save();
  ctx.beginPath(); ctx.rect(area.x, area.y, area.w, area.h); ctx.clip();
  for (const [t, latency, load, , , reason] of data.worst) {
    if (load !== charts.load) continue;
    const x = g.toDomXCoord(t / 1000), y = reason ? area.y + 4 : g.toDomYCoord(Math.max(latency, 0.01));
    ctx.fillStyle = color(reason ? "bad" : "p99");
    if (reason) ctx.fillRect(x - 0.75, y - 4, 1.5, 8);
    else { ctx.beginPath(); ctx.arc(x, y, 2, 0, 7); ctx.fill(); }
  }
  ctx.restore();
}

function latencyRange(load) {
  const low = load.p50.filter((v) => v > 0), high = load.p99.filter((v) => v > 0).concat(data.worst.filter((s) => s[2] === charts.load && !s[5] && s[1] > 0).map((s) => s[1]));
  const least = low.length ? Math.min(...low) : 1, most = Math.max(high.length ? Math.max(...high) : 1, load.deadline || 0);
  return [Math.max(least * 0.6, 0.005), Math.max(most, least * 4) * 1.6];
}

/* Decades, and 2 and 5 between them where there are few. */
function logTicks(a, b) {
  const list = [], few = Math.log10(b / a) < 2.2;
  for (let e = Math.floor(Math.log10(a)); e <= Math.ceil(Math.log10(b)) && list.length < 40; e++)
    for (const k of few ? [1, 2, 5] : [1]) if (k * 10 ** e >= a && k * 10 ** e <= b) list.push({ v: k * 10 ** e, label: count(Number((k * 10 ** e).toPrecision(3))) });
  return list;
}

function options(more) {
  const narrow = byId("plot").clientWidth < 560, gutter = narrow ? 90 : 118;
  return Object.assign({
    legend: "never", interactionModel: {}, dateWindow: [view.from / 1000, view.to / 1000], rightGap: 0, highlightCircleSize: 0, connectSeparatedPoints: false,
    strokeWidth: 1.6, axisLineColor: color("line"), gridLineColor: color("grid"), gridLineWidth: 1, axisLabelFontSize: 12, showLabelsOnHighlight: false,
    axes: {
      x: {
        axisLabelHeight: 16, drawGrid: true,
        ticker: (a, b) => { const k = ticks(a * 1000, b * 1000, tickCount()); return k.list.map((t) => ({ v: t / 1000, label: moment(t, k.step) })); },
      },
      y: Object.assign({ axisLabelWidth: gutter, pixelsPerLabel: 34, axisLabelFormatter: (v) => (Math.abs(v) >= 1000 ? count(Math.round(v)) : String(Number(v.toPrecision(3)))) }, more.y),
    },
  }, more.top);
}

function makeCharts() {
  const load = currentLoad();
  for (const name of ["rate", "latency"]) { if (charts[name]) charts[name].destroy(); charts[name] = null; }
  const drawn = Boolean(load.good && load.good.length);
  for (const id of ["rate", "latency"]) byId(id).hidden = byId(id).previousElementSibling.hidden = !drawn;
  if (!drawn) return;
  if (data.loads.length > 1) for (const e of document.querySelectorAll(".of-load")) e.textContent = ": " + clean(load.name);
  const rate = rateRows(load), top = Math.max(load.rate || 0, ...rate.map((r) => r[1])) * 1.15 || 1;
  charts.rate = new Dygraph(byId("rate"), rate, options({
    top: {
      labels: ["t", "not sent", "bad", "good"], colors: [color("stall"), color("bad"), color("good")], plotter: bars, valueRange: [0, top],
      underlayCallback: (ctx, area, g) => { underlay(ctx, area, g); dashed(ctx, area, g, load.rate, "planned"); },
    }, y: {},
  }));
  charts.latency = new Dygraph(byId("latency"), latencyRows(load), options({
    top: {
      labels: ["t", "p50", "p90", "p99"], colors: [color("p50"), color("p90"), color("p99")], valueRange: latencyRange(load),
      underlayCallback: (ctx, area, g) => { underlay(ctx, area, g); dashed(ctx, area, g, load.deadline, "deadline"); drawWorst(ctx, area, g); },
    }, y: { logscale: true, ticker: logTicks },
  }));
}

function updateCharts() {
  for (const g of [charts.rate, charts.latency]) if (g) g.updateOptions({ dateWindow: [view.from / 1000, view.to / 1000] });
}

/* What the chart's bucket at t says. */
function readBucket(t) {
  const load = currentLoad(), i = load.good ? Math.floor((t - load.from) / load.step) : -1;
  if (i < 0 || i >= load.good.length) return "";
  const n = load.good[i] + load.bad[i], stalled = load.stalled[i] ? `, ${load.stalled[i]} not sent as chaosd stalled` : "";
  if (!n) return ` · no request${stalled}`;
  return ` · ${count(load.good[i])} good, ${count(load.bad[i])} bad of ${count(n)} in ${ms(load.step)}${stalled} · p50 ${msBare(load.p50[i])}, p90 ${msBare(load.p90[i])}, p99 ${msBare(load.p99[i])} ms`;
}
