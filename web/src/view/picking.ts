/** Which synapse a finger or a mouse means. */

import { along, type Bundle } from "./bundle";

export interface Synapse {
  layer: number;
  post: number; // W's row
  pre: number; // W's column
  direct: boolean; // DFA's: from the output `post` straight to neuron `pre`, by D
}

const REACH = 9; // pixels

/** The line that passes nearest to (x, y), if any passes within reach; of two, the stronger one. */
export function nearestLine(bundles: Bundle[], x: number, y: number): Synapse | null {
  let best: Synapse | null = null;
  let least = REACH;
  for (const bundle of bundles) {
    for (let k = 0; k < bundle.size; k++) {
      const far = distance(bundle, k, x, y) - Math.min(2, Math.abs(bundle.value[k])); // a strong line reaches further
      if (far >= least) continue;
      least = far;
      const isDirect = bundle.bend === "arc";
      best = { layer: bundle.layer, post: bundle.post[k], pre: bundle.pre[k], direct: isDirect };
    }
  }
  return best;
}

function distance(bundle: Bundle, k: number, x: number, y: number): number {
  const e = bundle.ends;
  const [x0, y0, xm, ym, x1, y1] = [0, 1, 2, 3, 4, 5].map((i) => e[6 * k + i]) as [number, number, number, number, number, number];
  if (x < Math.min(x0, x1) - REACH || x > Math.max(x0, x1) + REACH) return Infinity;
  if (bundle.bend === "straight") return toSegment(x, y, x0, y0, x1, y1);
  if (bundle.bend === "through") return Math.min(toSegment(x, y, x0, y0, xm, ym), toSegment(x, y, xm, ym, x1, y1));
  let least = Infinity;
  let [ax, ay] = along(bundle, k, 0);
  for (let t = 1; t <= 12; t++) {
    const [bx, by] = along(bundle, k, t / 12);
    least = Math.min(least, toSegment(x, y, ax, ay, bx, by));
    [ax, ay] = [bx, by];
  }
  return least;
}

function toSegment(x: number, y: number, x0: number, y0: number, x1: number, y1: number): number {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const t = Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(x - x0 - t * dx, y - y0 - t * dy);
}
