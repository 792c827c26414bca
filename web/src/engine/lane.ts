/** One runner of the race: its network, its feedback, and all that a step changes, in one array. */
import type { Runner } from "../contract";
import type { Feedback, Place, Take } from "./feedback";
import { Pass } from "./network";
import type { Net } from "./network";
import { Draw, Rng, uniform, xavierBound } from "./rng";
import { RULES, feedbackRng } from "./rules";
import { sgd } from "./sgd";
import type { Pace } from "./sgd";

/** Everything of a lane that training changes, at one moment. */
export interface Kept {
  state: Float32Array;
  loss: number;
  fellAt: number | null;
}

/** Makes the feedback of layer l beside its W. `take` gives room in the lane's state. */
export type Make = (l: number, place: Place, take: Take) => Feedback;

export class Lane {
  readonly net: Net;
  readonly feedback: Feedback[];
  readonly alignsByDecay: boolean;
  readonly rateShare: number; // of the race's learning rate
  loss = NaN; // on the last batch, before its step
  fellAt: number | null = null; // the step whose loss was not finite: the lane has stood still since then
  private readonly held: Float32Array[] = []; // all that a step changes: W, b, momenta, what learns in the feedback
  private readonly velocities: { W: Float32Array; b: Float32Array }[];
  private readonly pass: Pass;

  /** `start`: the first weights, copied. `batch`: the most samples in a step. `make`: by default the rule's own. */
  constructor(readonly runner: Runner, readonly seed: number, start: Net, batch: number, make?: Make) {
    const { sizes } = start, L = sizes.length - 1;
    this.alignsByDecay = RULES[runner.rule].alignsByDecay;
    this.rateShare = RULES[runner.rule].rateShare ?? 1;
    const take = (size: number): Float32Array => {
      const room = new Float32Array(size);
      this.held.push(room);
      return room;
    };
    const copied = (given: Float32Array): Float32Array => {
      const room = take(given.length);
      room.set(given);
      return room;
    };
    this.net = { sizes, W: start.W.map(copied), b: start.b.map(copied) };
    this.velocities = start.W.map((W, l) => ({ W: take(W.length), b: take(start.b[l].length) }));
    make ??= (l, place) => RULES[runner.rule].make(place, runner, feedbackRng(seed, runner.rule, l), take);
    this.feedback = [];
    for (let l = 0; l < L; l++) {
      const place = { W: this.net.W[l], out: sizes[l + 1], fanIn: sizes[l], classes: sizes[L] };
      this.feedback.push(make(l, place, take));
    }
    this.pass = new Pass(this.net, batch);
  }

  /** One step of SGD on x (n, inputs), y (n,). `step` is how many have been made before. */
  step(step: number, x: Float32Array, y: Uint8Array, n: number, pace: Pace): void {
    if (this.fellAt !== null) return;
    const { pass } = this, { W, b } = this.net;
    this.feedback.forEach((f, l) => f.newBatch(() => new Rng(this.seed, Draw.Signs, step, l)));
    pass.forward(x, n);
    pass.compare(y, n);
    this.loss = pass.loss;
    if (!Number.isFinite(pass.loss)) {
      this.fellAt = step;
      return;
    }
    pass.backward(n, pass.by(this.feedback));
    for (let l = 0; l < W.length; l++) {
      this.feedback[l].learn(pass.gradW[l], pace);
      sgd(W[l], pass.gradW[l], this.velocities[l].W, pace);
      sgd(b[l], pass.gradB[l], this.velocities[l].b, pace);
    }
  }

  /** Numbers that one snapshot holds. */
  get size(): number {
    return this.held.reduce((sum, part) => sum + part.length, 0);
  }

  save(): Kept {
    const state = new Float32Array(this.size);
    let at = 0;
    for (const part of this.held) {
      state.set(part, at);
      at += part.length;
    }
    return { state, loss: this.loss, fellAt: this.fellAt };
  }

  restore(kept: Kept): void {
    let at = 0;
    for (const part of this.held) {
      part.set(kept.state.subarray(at, at + part.length));
      at += part.length;
    }
    this.loss = kept.loss;
    this.fellAt = kept.fellAt;
  }
}

/** The first weights that a seed gives: Xavier-uniform, biases 0. Every lane of a race begins with the same. */
export function firstWeights(sizes: number[], seed: number): Net {
  const W: Float32Array[] = [], b: Float32Array[] = [];
  for (let l = 0; l + 1 < sizes.length; l++) {
    const out = sizes[l + 1], fanIn = sizes[l];
    W.push(uniform(new Rng(seed, Draw.Weights, l), out * fanIn, xavierBound(out, fanIn)));
    b.push(new Float32Array(out));
  }
  return { sizes, W, b };
}
