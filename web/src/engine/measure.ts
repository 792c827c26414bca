/** What is measured of a lane. The same definitions as pfa_edu.measure; nothing here changes what it learns. */
import type { Lane } from "./lane";
import { carry } from "./matrix";
import { Pass } from "./network";
import { degrees } from "./rules";

const AT_ONCE = 64; // test samples in one pass

/** The angle between two arrays as vectors, in degrees; NaN if either is all zeros.
 *
 * Kahan's 2 atan2(|û − v̂|, |û + v̂|), which keeps its digits near 0° where arccos loses half of them. */
export function angle(u: Float32Array, v: Float32Array): number {
  const scale = norm(u) / norm(v);
  let apart = 0, together = 0;
  for (let i = 0; i < u.length; i++) {
    const w = v[i] * scale;
    apart += (u[i] - w) * (u[i] - w);
    together += (u[i] + w) * (u[i] + w);
  }
  return degrees(2 * Math.atan2(Math.sqrt(apart), Math.sqrt(together)));
}

export function norm(u: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < u.length; i++) sum += u[i] * u[i];
  return Math.sqrt(sum);
}

/** Per layer, the angle between F and W and ‖F‖ / ‖W‖; NaN for dfa, which has no F. */
export function pathMeasures(lane: Lane): { angles: number[]; ratios: number[] } {
  if (lane.runner.rule === "dfa") {
    const nothing = lane.net.W.map(() => NaN);
    return { angles: nothing, ratios: [...nothing] };
  }
  const angles: number[] = [], ratios: number[] = [];
  lane.net.W.forEach((W, l) => {
    const F = lane.feedback[l].form();
    angles.push(angle(F, W));
    ratios.push(norm(F) / norm(W));
  });
  return { angles, ratios };
}

/** Measures lanes on the same samples; keeps the room that it needs for each. */
export class Meter {
  private readonly rooms = new Map<Lane, { probe: Pass; test: Pass; own: Float32Array[] }>();

  /** `probe`: the samples of the gradient angle. */
  constructor(private readonly probe: Samples, private readonly test: Samples) {}

  /** Per layer, the angle between the rule's gradient and backprop's, same weights and samples; NaN where one is 0. */
  gradientAngles(lane: Lane): number[] {
    const { probe: pass, own } = this.room(lane), { sizes, W } = lane.net, n = this.probe.y.length;
    pass.forward(this.probe.x, n);
    pass.compare(this.probe.y, n);
    pass.backward(n, pass.by(lane.feedback));
    own.forEach((gradient, l) => gradient.set(pass.gradW[l]));
    pass.backward(n, (l, m, into) => carry(pass.delta[l + 1], W[l], into, m, sizes[l + 1], sizes[l])); // backprop
    return own.map((gradient, l) => angle(gradient, pass.gradW[l]));
  }

  /** Percent of the test set that the lane gets right. */
  accuracy(lane: Lane): number {
    const pass = this.room(lane).test, { x, y } = this.test, [inputs] = lane.net.sizes;
    const p = pass.h[pass.h.length - 1], classes = p.length / pass.most;
    let right = 0;
    for (let from = 0; from < y.length; from += pass.most) {
      const n = Math.min(pass.most, y.length - from);
      pass.forward(x.subarray(from * inputs, (from + n) * inputs), n);
      for (let s = 0; s < n; s++) if (largest(p, s * classes, classes) === y[from + s]) right++;
    }
    return (100 * right) / y.length;
  }

  private room(lane: Lane): { probe: Pass; test: Pass; own: Float32Array[] } {
    let room = this.rooms.get(lane);
    if (!room) {
      const own = lane.net.W.map((W) => new Float32Array(W.length));
      room = { probe: new Pass(lane.net, this.probe.y.length), test: new Pass(lane.net, AT_ONCE), own };
      this.rooms.set(lane, room);
    }
    return room;
  }
}

/** Samples and their classes. */
export interface Samples {
  x: Float32Array; // (n, inputs)
  y: Uint8Array; // (n,)
}

/** The first index of the largest of `n` numbers from `at` on. */
function largest(values: Float32Array, at: number, n: number): number {
  let best = 0;
  for (let c = 1; c < n; c++) if (values[at + c] > values[at + best]) best = c;
  return best;
}
