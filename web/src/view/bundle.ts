/**
 * The synapses of one layer that are drawn, forward or back: where their lines run, and the values they show.
 *
 * A layer has thousands of synapses; those between the neurons that are drawn are shown. A value glides to its target,
 * so that the picture moves smoothly however fast the training is.
 */

import type { Layout } from "./layout";
import type { Palette } from "./looks";

/** How a line runs: straight, through a mid neuron (PFA), or in an arc (DFA's way past the layers). */
export type Bend = "straight" | "through" | "arc";

export interface Bundle {
  layer: number;
  back: boolean;
  bend: Bend;
  size: number; // n drawn synapses
  ends: Float32Array; // (n, 6): from x, y; the bend's x, y; to x, y
  post: Int32Array; // (n,) neuron above: W's row
  pre: Int32Array; // (n,) neuron below: W's column
  index: Int32Array; // (n,) into W, F or D
  value: Float32Array; // (n,) as drawn
  target: Float32Array; // (n,) as trained
}

const GLIDE_MS = 110; // a value covers 63 % of its way in this time
const BINS = 6; // line widths: lines of one width are drawn in one stroke

/** W of `layer`, or its mirror image F. */
export function between(layout: Layout, layer: number, back: boolean): Bundle {
  const [below, above] = [layout.columns[layer], layout.columns[layer + 1]];
  const mids = back ? layout.mids[layer].y : [];
  const bundle = empty(layer, back, mids.length ? "through" : "straight", below.units.length * above.units.length);
  let k = 0;
  for (let o = 0; o < above.units.length; o++) {
    for (let i = 0; i < below.units.length; i++, k++) {
      const [y0, y1] = back ? [above.down[o], below.down[i]] : [below.up[i], above.up[o]];
      const [x0, x1] = back ? [above.x, below.x] : [below.x, above.x];
      const y = mids.length ? nearest(mids, (y0 + y1) / 2) : (y0 + y1) / 2;
      bundle.ends.set([x0, y0, (x0 + x1) / 2, y, x1, y1], 6 * k);
      bundle.post[k] = above.units[o];
      bundle.pre[k] = below.units[i];
      bundle.index[k] = above.units[o] * below.total + below.units[i];
    }
  }
  return bundle;
}

/** D of `layer`: from the output's errors to the errors of the layer's input. */
export function direct(layout: Layout, layer: number): Bundle {
  const [below, output] = [layout.columns[layer], layout.columns.at(-1)!];
  const bundle = empty(layer, true, layer + 2 === layout.columns.length ? "straight" : "arc", below.units.length * output.units.length);
  const dip = 2 * layout.axis; // arcs bow towards the lower edge, below the layers they pass
  let k = 0;
  for (let o = 0; o < output.units.length; o++) {
    for (let i = 0; i < below.units.length; i++, k++) {
      const [y0, y1] = [output.down[o], below.down[i]];
      bundle.ends.set([output.x, y0, (output.x + below.x) / 2, (y0 + y1) / 2 + (dip - (y0 + y1) / 2) * 0.7, below.x, y1], 6 * k);
      bundle.post[k] = output.units[o];
      bundle.pre[k] = below.units[i];
      bundle.index[k] = output.units[o] * below.total + below.units[i]; // D is (classes, in)
    }
  }
  return bundle;
}

/** Takes new targets from a matrix; the first values are shown at once. */
export function aim(bundle: Bundle, matrix: Float32Array, atOnce: boolean): void {
  for (let k = 0; k < bundle.size; k++) bundle.target[k] = matrix[bundle.index[k]];
  if (atOnce) bundle.value.set(bundle.target);
}

/** Moves the values towards their targets; whether any of them still has visibly far to go. */
export function glide(bundle: Bundle, ms: number): boolean {
  const share = 1 - Math.exp(-ms / GLIDE_MS);
  const enough = 0.01 * scaleOf(bundle.target);
  let moving = false;
  for (let k = 0; k < bundle.size; k++) {
    const gap = bundle.target[k] - bundle.value[k];
    if (Math.abs(gap) <= enough) {
      bundle.value[k] = bundle.target[k];
    } else {
      bundle.value[k] = bundle.value[k] + gap * share;
      moving = true;
    }
  }
  return moving;
}

/** Wide and strong is a large value, the colour is its sign. W and F are each drawn to their own scale. */
export function drawBundle(pen: CanvasRenderingContext2D, bundle: Bundle, look: Palette, scale: number): void {
  const full = scaleOf(bundle.value);
  for (const sign of [1, -1]) {
    pen.strokeStyle = sign > 0 ? look.plus : look.minus;
    for (let bin = 1; bin <= BINS; bin++) {
      pen.beginPath();
      for (let k = 0; k < bundle.size; k++) {
        const value = bundle.value[k] * sign;
        if (value > 0 && binOf(value / full) === bin) trace(pen, bundle, k);
      }
      pen.globalAlpha = 0.06 + 0.62 * (bin / BINS) ** 1.6;
      pen.lineWidth = (0.5 + 2.3 * (bin / BINS) ** 2) * scale;
      pen.stroke();
    }
  }
  pen.globalAlpha = 1;
}

export function trace(pen: CanvasRenderingContext2D, bundle: Bundle, k: number): void {
  const e = bundle.ends;
  const at = 6 * k;
  pen.moveTo(e[at], e[at + 1]);
  if (bundle.bend === "arc") {
    pen.quadraticCurveTo(e[at + 2], e[at + 3], e[at + 4], e[at + 5]);
    return;
  }
  if (bundle.bend === "through") pen.lineTo(e[at + 2], e[at + 3]);
  pen.lineTo(e[at + 4], e[at + 5]);
}

/** The point at `share` (0 to 1) of the way along line `k`. */
export function along(bundle: Bundle, k: number, share: number): [number, number] {
  const e = bundle.ends;
  const at = 6 * k;
  const [x0, y0, xm, ym, x1, y1] = [e[at], e[at + 1], e[at + 2], e[at + 3], e[at + 4], e[at + 5]];
  const t = share;
  if (bundle.bend === "arc") {
    const [a, b, c] = [(1 - t) * (1 - t), 2 * t * (1 - t), t * t];
    return [a * x0 + b * xm + c * x1, a * y0 + b * ym + c * y1];
  }
  if (bundle.bend === "straight") return [x0 + (x1 - x0) * t, y0 + (y1 - y0) * t];
  return t < 0.5
    ? [x0 + (xm - x0) * 2 * t, y0 + (ym - y0) * 2 * t]
    : [xm + (x1 - xm) * (2 * t - 1), ym + (y1 - ym) * (2 * t - 1)];
}

/** What is drawn at full width: two and a half times the root mean square. */
export function scaleOf(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return 2.5 * Math.sqrt(sum / Math.max(1, values.length)) || 1;
}

function binOf(share: number): number {
  return Math.min(BINS, Math.ceil(Math.min(1, share) * BINS));
}

function nearest(ys: number[], y: number): number {
  return ys.reduce((best, one) => (Math.abs(one - y) < Math.abs(best - y) ? one : best));
}

function empty(layer: number, back: boolean, bend: Bend, size: number): Bundle {
  return {
    layer, back, bend, size, ends: new Float32Array(6 * size), post: new Int32Array(size), pre: new Int32Array(size),
    index: new Int32Array(size), value: new Float32Array(size), target: new Float32Array(size),
  };
}
