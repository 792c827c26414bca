/**
 * Where everything of the network's drawing stands.
 *
 * The forward path is above, the feedback path below, and each is the other's mirror image: neuron j is as far above
 * the water line as its error is below it. So a reader sees at once whether F is W's copy: then the picture below is
 * the reflection of the one above.
 */

import type { Ready } from "../contract";

export interface Column {
  x: number;
  units: number[]; // the neurons that are drawn, of `total`
  total: number;
  up: number[]; // y of each drawn neuron
  down: number[]; // y of its error
  apart: number; // between two of them
}

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Layout {
  width: number;
  height: number;
  scale: number; // of letters and neurons
  axis: number; // y of the water line
  radius: number; // of a neuron
  columns: Column[]; // [L + 1]: the input, the hidden layers, the output
  /** [layer]: the mid neurons that stand for the layer's B R, right to left; empty: F is one synapse. */
  mids: { x: number; y: number[] }[];
  picture: Box | null; // the digit that is shown
  dials: { x: number; y: number; radius: number; room: number; layer: number }[];
}

const MOST_HIDDEN = 9;
const MOST_INPUTS = 8;
/** Below this width nothing stands beside the network: the words on the way back go below it. */
export const NARROW = 520;

/** `mids`: mid neurons of each layer of the drawn run, or null where it has none. */
export function layout(ready: Ready, mids: (number | null)[], width: number, height: number, scale: number): Layout {
  const deep = ready.sizes.length - 1; // L
  const dialRadius = Math.max(14, Math.min(50 * scale, (width / (deep + 1)) * 0.3, height * 0.1));
  const band = dialRadius + 46 * scale; // the water line's room: a dial and its two lines of text
  const words = width < NARROW ? 16 * scale : 0; // below the network, where nothing stands beside it
  const axis = (height - words) * 0.5;
  const [top, low] = [26 * scale, axis - band / 2]; // between these the forward path stands
  const side = ready.picture ? Math.min(124 * scale, width * 0.18, low - top - 26 * scale) : 0;
  const left = width < NARROW ? side + 14 : Math.max(side + 14, 150 * scale);
  const right = width - 74 * scale;

  const room = (count: number) => Math.max(3, Math.min(count, Math.floor((low - top) / (13 * scale))));
  const columns = ready.sizes.map((total, c): Column => {
    const most = c === 0 ? MOST_INPUTS : c === deep ? 10 : MOST_HIDDEN;
    const count = Math.min(total, most, c === deep ? 10 : room(most));
    const units = chosen(total, count, c === 0 ? ready.picture : null);
    const spread = Math.min(low - top, (count - 1) * 26 * scale) / 2;
    const middle = (top + low) / 2;
    const up = units.map((_, k) => (count === 1 ? middle : middle - spread + (2 * spread * k) / (count - 1)));
    return { x: left + ((right - left) * c) / deep, units, total, up, down: up.map((y) => 2 * axis - y), apart: count > 1 ? up[1] - up[0] : low - top };
  });

  const gap = (right - left) / deep;
  const radius = Math.max(3, Math.min(7 * scale, gap * 0.07, (low - top) / 24));
  return {
    width, height, scale, axis, radius, columns,
    mids: mids.map((mid, l) => {
      const [from, to] = [columns[l], columns[l + 1]];
      if (mid === null || l === 0) return { x: 0, y: [] };
      const count = Math.round(Math.min(16, Math.max(5, 4 + 4 * Math.log10(Math.max(1, mid / to.total)) + 3)));
      const high = 2 * axis - top;
      const start = 2 * axis - low;
      return { x: (from.x + to.x) / 2, y: spaced(start, high, count) };
    }),
    picture: ready.picture ? { x: Math.max(0, left - 14 - side) / 2, y: (top + low - 22 * scale) / 2 - side / 2, width: side, height: side } : null,
    dials: columns.slice(2).map((column, i) => {
      const x = (column.x + columns[i + 1].x) / 2;
      return { x: x - dialRadius / 2, y: axis + dialRadius / 2 - 6 * scale, radius: dialRadius, room: gap, layer: i + 1 };
    }),
  };
}

/** `count` of `total` neurons, evenly; of a picture, pixels down its middle, where digits have ink. */
function chosen(total: number, count: number, picture: [number, number] | null): number[] {
  if (picture) {
    const [rows, columns] = picture;
    return Array.from({ length: count }, (_, k) => {
      const row = Math.round(((k + 0.5) * rows) / count - 0.5);
      return row * columns + Math.floor(columns / 2);
    });
  }
  return Array.from({ length: count }, (_, k) => Math.floor((k * total) / count));
}

function spaced(from: number, to: number, count: number): number[] {
  return Array.from({ length: count }, (_, k) => (count === 1 ? (from + to) / 2 : from + ((to - from) * k) / (count - 1)));
}
