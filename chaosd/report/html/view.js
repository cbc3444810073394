/* SPDX-License-Identifier: Apache-2.0 */
/* The one range that lanes and charts show, and every way to change it. */
const view = { full: [data.meta.from, data.meta.to], from: data.meta.from, to: data.meta.to, area: { x: 100, w: 600 }, listeners: [] };

view.set = function (from, to) {
  const [least, most] = view.full, narrowest = Math.min(1, most - least);
  let span = Math.min(Math.max(to - from, narrowest), most - least);
  if (!isFinite(span)) return;
  from = Math.min(Math.max(from, least), most - span);
  view.from = from;
  view.to = from + span;
  for (const fn of view.listeners) fn();
  byId("range").textContent = view.whole() ? "Showing all" : `Showing ${moment(view.from, span / 10)} to ${moment(view.to, span / 10)}`;
};
view.whole = () => view.from <= view.full[0] && view.to >= view.full[1];
view.reset = () => view.set(view.full[0], view.full[1]);
view.zoom = (factor, at) => {
  const center = known(at) ? at : (view.from + view.to) / 2;
  view.set(center - (center - view.from) * factor, center + (view.to - center) * factor);
};
view.pan = (share) => {
  const by = (view.to - view.from) * share;
  view.set(view.from + by, view.to + by);
};
view.x = (t) => view.area.x + ((t - view.from) / (view.to - view.from)) * view.area.w;
view.t = (x) => view.from + ((x - view.area.x) / view.area.w) * (view.to - view.from);

/* An act with what came of it. */
view.showCard = (card) => {
  if (!known(card.at)) return;
  const after = Math.max(2000, 1.4 * Math.max(card.sustained || 0, card.redundancy || 0, card.reverted_after || 0, card.at_least || 0));
  view.set(card.at - 0.25 * after, card.at + after);
};

const KEYS = {
  ArrowLeft: () => view.pan(-0.1), ArrowRight: () => view.pan(0.1), "+": () => view.zoom(0.6), "=": () => view.zoom(0.6), "-": () => view.zoom(1 / 0.6),
  _: () => view.zoom(1 / 0.6), Escape: view.reset, 0: view.reset, Home: view.reset,
};

function nextFault(direction) {
  const acts = data.cards.filter((c) => known(c.at)).sort((a, b) => a.at - b.at);
  if (!acts.length) return;
  const center = view.whole() ? (direction > 0 ? -Infinity : Infinity) : view.from + (view.to - view.from) * 0.2;
  const slack = view.whole() ? 0 : (view.to - view.from) * 0.01;
  const list = acts.filter((c) => (direction > 0 ? c.at > center + slack : c.at < center - slack));
  view.showCard(direction > 0 ? list[0] || acts[0] : list[list.length - 1] || acts[acts.length - 1]);
}

function wirePointer(plot, hover) {
  let start = null;
  const at = (e) => Math.min(Math.max(e.clientX - plot.getBoundingClientRect().left, view.area.x), view.area.x + view.area.w);
  const picked = byId("picked");
  plot.addEventListener("pointerdown", (e) => {
    if (e.button !== 0 || e.pointerType === "touch" || e.clientX - plot.getBoundingClientRect().left < view.area.x) return;
    start = at(e);
    plot.setPointerCapture(e.pointerId);
  });
  plot.addEventListener("pointermove", (e) => {
    const x = at(e);
    hover(x);
    if (start === null) return;
    picked.hidden = Math.abs(x - start) < 3;
    picked.style.left = Math.min(x, start) + "px";
    picked.style.width = Math.abs(x - start) + "px";
  });
  plot.addEventListener("pointerup", (e) => {
    const from = start, to = at(e);
    start = null;
    picked.hidden = true;
    if (from !== null && Math.abs(to - from) >= 5) view.set(view.t(Math.min(from, to)), view.t(Math.max(from, to)));
  });
  plot.addEventListener("pointercancel", () => { start = null; picked.hidden = true; });
  plot.addEventListener("pointerleave", () => { if (start === null) hover(null); });
  plot.addEventListener("dblclick", view.reset);
}

function wireKeys(plot) {
  plot.addEventListener("keydown", (e) => {
    const fn = !e.ctrlKey && !e.metaKey && !e.altKey && KEYS[e.key];
    if (!fn) return;
    e.preventDefault();
    fn();
  });
  document.addEventListener("keydown", (e) => { if (e.key === "Escape" && !view.whole()) view.reset(); });
  const buttons = { "zoom-in": KEYS["+"], "zoom-out": KEYS["-"], "zoom-reset": view.reset, "next-fault": () => nextFault(1), "prev-fault": () => nextFault(-1) };
  for (const [id, fn] of Object.entries(buttons)) byId(id).addEventListener("click", fn);
}
