/* SPDX-License-Identifier: Apache-2.0 */
/* What every part uses: the data, elements made without markup, figures as a person says them. */
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

/* Names and log lines come from outside: what would move a cursor or turn the direction of text is shown as its number. */
function clean(text) {
  return String(text).replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (c) => (c === "\t" ? " " : "\\x" + c.charCodeAt(0).toString(16).padStart(2, "0")));
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) if (value !== null && value !== undefined) node.setAttribute(key, value);
  for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child instanceof Node ? child : clean(child));
  return node;
}
const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

const count = (n) => String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
const known = (v) => v !== null && v !== undefined;

function msBare(v) {
  if (!known(v)) return "?";
  if (v === -1) return "bad";
  const a = Math.abs(v);
  if (a >= 99.95) return (v < 0 ? "-" : "") + count(Math.round(a));
  return String(Number(v.toFixed(a < 9.995 ? 2 : 1)));
}
const ms = (v) => (known(v) && v !== -1 ? msBare(v) + " ms" : msBare(v));
/* Rounded down, as everywhere: a share that missed its limit must not look as if it had kept it. */
const percent = (v) => {
  if (!known(v)) return "?";
  const digits = v >= 0.99 || Math.abs(v) < 0.01 ? 3 : 2, unit = 10 ** (digits + 2);
  return String(Number((Math.floor(v * unit + 1e-6) / (unit / 100)).toFixed(digits))) + " %";
};
const bracket = (min, point, max) => `${msBare(min)} … ${msBare(point)} … ${msBare(max)} ms`;

/* A moment on the axis, ms from the schedule's start; step says how fine it must be. */
function moment(t, step) {
  const digits = step >= 1000 ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : 3;
  const sign = t < 0 ? "-" : "", a = Math.abs(t) / 1000;
  if (a < 120) return sign + a.toFixed(digits) + " s";
  const h = Math.floor(a / 3600), m = Math.floor(a / 60) % 60, s = (a % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  if (h >= 48) return `${sign}${Math.floor(h / 24)}d ${String(h % 24).padStart(2, "0")}:${String(m).padStart(2, "0")}:${s}`;
  return sign + (h ? `${h}:${String(m).padStart(2, "0")}` : `${m}`) + ":" + s;
}

/* 1, 2 or 5 (or 15, 30 of minutes) so that about n steps fill the span, in ms. */
function niceStep(span, n) {
  const want = span / n, minute = 60000;
  for (const s of [minute / 4, minute / 2, minute, 2 * minute, 5 * minute, 15 * minute, 30 * minute, 60 * minute, 180 * minute, 360 * minute, 1440 * minute])
    if (want > 10000 && s >= want) return s;
  const unit = Math.pow(10, Math.floor(Math.log10(want)));
  return [1, 2, 5, 10].map((k) => k * unit).find((s) => s >= want) || want;
}

function ticks(from, to, n) {
  const step = niceStep(to - from, n), list = [];
  for (let k = Math.ceil(from / step); k * step <= to && list.length < 100; k++) list.push(k * step);
  return { step, list };
}

const tickCount = () => Math.max(2, Math.floor((byId("plot").clientWidth - 120) / (byId("plot").clientWidth < 560 ? 70 : 105)));

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

/* A legend's colour: a rule of the sheet would be needed for each, so the property is set as one. */
function swatch(name, line) {
  const s = el("span", { class: line ? "swatch line" : "swatch", "aria-hidden": "true" });
  s.style.background = `var(--${name})`;
  return s;
}
const legendItem = ([name, text, line]) => el("span", null, swatch(name, line), text);
