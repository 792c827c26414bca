/**
 * What stands where backprop uses W: dL/dh = Fᵀ δ, or in code, row by row, δ F.
 *
 * Every rule keeps the exact gradient of the forward weight, δ hᵀ. They differ only in the classes of this file, which
 * are those of pfa_edu/rules: the same names, the same equations, tested against each other.
 */
import type { SignKind } from "../contract";
import { carry, outer } from "./matrix";
import { bunches } from "./pairs";
import type { Pair } from "./pairs";
import { Rng, xavierBound } from "./rng";
import { sgd } from "./sgd";
import type { Pace } from "./sgd";

/** A layer as its feedback sees it. */
export interface Place {
  W: Float32Array; // (out, in); the array itself, so that F follows it
  out: number;
  fanIn: number;
  classes: number; // of the network
}

/** Hands out part of a lane's state, all zeros, for what changes while it learns. */
export type Take = (size: number) => Float32Array;

export interface Feedback {
  /** dL/dh of the layer's input, (n, in), from its δ (n, out); `error` (n, classes) is the δ of the last layer. */
  send(delta: Float32Array, error: Float32Array, n: number, into: Float32Array): void;
  /** F as it is now, (out, in); D (classes, in) of dfa. Not to be changed: it may be W, or used again. */
  form(): Float32Array;
  /** After the gradient ∇W (out, in) is known and before W moves: whatever learns in the feedback. */
  learn(gradW: Float32Array, pace: Pace): void;
  /** Before a training step, for a feedback that is drawn for every batch. */
  newBatch(rng: () => Rng): void;
}

/** Feedback that is a matrix which does not learn: FA's random F, and the base of the others that hold one. */
export class Fixed implements Feedback {
  constructor(protected readonly at: Place, protected readonly F: Float32Array) {}

  send(delta: Float32Array, _error: Float32Array, n: number, into: Float32Array): void {
    carry(delta, this.form(), into, n, this.at.out, this.at.fanIn);
  }

  form(): Float32Array {
    return this.F;
  }

  learn(_gradW: Float32Array, _pace: Pace): void {}

  newBatch(_rng: () => Rng): void {}
}

/** BP: F is W. */
export class Copied extends Fixed {
  constructor(at: Place) {
    super(at, at.W);
  }
}

/** DFA: the output's error e reaches the layer's input through D (classes, in), past all layers between. */
export class Direct extends Fixed {
  override send(_delta: Float32Array, error: Float32Array, n: number, into: Float32Array): void {
    carry(error, this.F, into, n, this.at.classes, this.at.fanIn);
  }
}

/** KP: F is a weight of its own that gets W's gradient, and decays alike. */
export class KolenPollack extends Fixed {
  private readonly velocity: Float32Array;

  constructor(at: Place, start: Float32Array, take: Take) {
    const F = take(start.length);
    F.set(start);
    super(at, F);
    this.velocity = take(start.length);
  }

  override learn(gradW: Float32Array, pace: Pace): void {
    sgd(this.F, gradW, this.velocity, pace);
  }
}

/** SF: W's signs. `M` (out, in), the magnitudes; null: the same for all, Xavier's standard deviation. */
export class SignSymmetric extends Fixed {
  private readonly scale: number;

  constructor(at: Place, private readonly kind: SignKind, private readonly M: Float32Array | null) {
    super(at, new Float32Array(at.W.length));
    this.scale = Math.sqrt(2 / (at.out + at.fanIn));
    if (M) for (let i = 0; i < M.length; i++) M[i] = Math.abs(M[i]);
  }

  override form(): Float32Array {
    const { W } = this.at;
    for (let i = 0; i < W.length; i++) this.F[i] = Math.sign(W[i]) * (this.M ? this.M[i] : this.scale);
    return this.F;
  }

  override newBatch(rng: () => Rng): void {
    if (this.kind !== "batch" || !this.M) return;
    const draw = rng(), bound = xavierBound(this.at.out, this.at.fanIn);
    for (let i = 0; i < this.M.length; i++) this.M[i] = draw.uniform() * bound;
  }
}

/**
 * PFA and PFA-o in closed form: F = G W + a E, at a cost that does not depend on the number of mid neurons.
 *
 * G = B Bᵀ (out, out), E = B R₀ - G W₀ (out, in), a = what the optimiser makes of the number 1 with a zero gradient:
 * the part of the random start that is left. pfa_edu/rules/product.py says why this is F = B R with R learning by
 * Bᵀ ∇W. B and R₀ are drawn a bunch of mid neurons at a time, from `pairs`, and forgotten.
 */
export class ClosedProduct extends Fixed {
  private readonly G: Float32Array | null; // null: the identity, PFA-o's
  private readonly E: Float32Array;
  private readonly fading: Float32Array; // a and its momentum
  private turned = new Float32Array(0); // δ G, (n, out)

  constructor(at: Place, pairs: Iterable<Pair>, orthogonal: boolean, take: Take) {
    super(at, new Float32Array(at.W.length));
    const { out, fanIn, W } = at;
    this.E = new Float32Array(out * fanIn);
    this.G = orthogonal ? null : new Float32Array(out * out);
    for (const { b, r, n } of bunches(pairs, out, fanIn)) {
      outer(b, r, this.E, n, out, fanIn, true);
      if (this.G) outer(b, b, this.G, n, out, out, true);
    }
    carryGW(this.G, W, this.E, out, fanIn, -1);
    this.fading = take(2);
    this.fading[0] = 1;
  }

  override send(delta: Float32Array, _error: Float32Array, n: number, into: Float32Array): void {
    const { out, fanIn, W } = this.at;
    let first = delta;
    if (this.G) {
      if (this.turned.length < n * out) this.turned = new Float32Array(n * out);
      carry(delta, this.G, this.turned, n, out, out);
      first = this.turned;
    }
    carry(first, W, into, n, out, fanIn);
    carry(delta, this.E, into, n, out, fanIn, this.fading[0], true);
  }

  override form(): Float32Array {
    const { out, fanIn, W } = this.at;
    for (let i = 0; i < this.F.length; i++) this.F[i] = this.fading[0] * this.E[i];
    carryGW(this.G, W, this.F, out, fanIn, 1);
    return this.F;
  }

  override learn(_gradW: Float32Array, { lr, momentum, decay }: Pace): void {
    this.fading[1] = momentum * this.fading[1] + decay * this.fading[0];
    this.fading[0] -= lr * this.fading[1];
  }
}

/** into += sign · G W, all (out, in). */
function carryGW(
  G: Float32Array | null, W: Float32Array, into: Float32Array, out: number, fanIn: number, sign: 1 | -1,
): void {
  if (G) carry(G, W, into, out, out, fanIn, sign, true);
  else for (let i = 0; i < W.length; i++) into[i] += sign * W[i];
}
