/** Trains the networks that it is given, on the batches that it is given, and says all that became of them. */
import type { RuleName, Runner, SignKind } from "../src/contract";
import { ClosedProduct, Copied, Direct, Fixed, KolenPollack, SignSymmetric } from "../src/engine/feedback";
import type { Feedback, Place, Take } from "../src/engine/feedback";
import { Lane } from "../src/engine/lane";
import { Meter, pathMeasures } from "../src/engine/measure";
import type { Samples } from "../src/engine/measure";
import { Pass } from "../src/engine/network";
import { givenPairs } from "../src/engine/pairs";
import { RULES } from "../src/engine/rules";

/** The feedback of one layer at the start, row-major; which of them is there depends on the rule. */
interface Given {
  F?: number[]; // fa, kp: (out, in)
  M?: number[]; // sf fixed: (out, in)
  Ms?: number[][]; // sf batch: one for every step
  D?: number[]; // dfa: (classes, in)
  B?: number[]; // pfa, pfa-o: (out, mid)
  R?: number[]; // (mid, in)
}

interface Input {
  rule: RuleName;
  kind: SignKind;
  ratio: number;
  sizes: number[];
  W: number[][];
  feedback: Given[];
  batches: { x: number[]; y: number[] }[];
  probe: { x: number[]; y: number[] };
  test: { x: number[]; y: number[] };
  pace: { lr: number; momentum: number; weightDecay: number; strongDecay: number; strongSteps: number };
  looks: number[]; // steps after which everything is told
}

export function main(input: Input): unknown {
  const runner: Runner = { rule: input.rule, ratio: input.ratio, kind: input.kind };
  const start = {
    sizes: input.sizes,
    W: input.W.map((W) => Float32Array.from(W)),
    b: input.sizes.slice(1).map((out) => new Float32Array(out)),
  };
  const first = samples(input.batches[0]), n = first.y.length;
  const lane = new Lane(runner, 0, start, n, (l, place, take) => made(runner, input.feedback[l], place, take));
  const meter = new Meter(samples(input.probe), samples(input.test)), told: unknown[] = [];
  const { lr, momentum, weightDecay, strongDecay, strongSteps } = input.pace;
  for (let step = 0; step <= input.batches.length; step++) {
    if (input.looks.includes(step)) told.push(look(lane, meter, samples(input.test)));
    if (step === input.batches.length) break;
    const { x, y } = samples(input.batches[step]);
    const decay = RULES[runner.rule].alignsByDecay && step < strongSteps ? strongDecay : weightDecay;
    lane.step(step, x, y, n, { lr, momentum, decay });
  }
  const limits = input.sizes.slice(1).map((out) => RULES[runner.rule].limit(runner.ratio, out));
  return { told, limits };
}

function made(runner: Runner, given: Given, place: Place, take: Take): Feedback {
  const floats = (values: number[] | undefined): Float32Array => {
    if (!values) throw new Error(`${runner.rule}: its feedback is not given`);
    return Float32Array.from(values);
  };
  if (runner.rule === "bp") return new Copied(place);
  if (runner.rule === "fa") return new Fixed(place, floats(given.F));
  if (runner.rule === "kp") return new KolenPollack(place, floats(given.F), take);
  if (runner.rule === "dfa") return new Direct(place, floats(given.D));
  if (runner.rule !== "sf") {
    const pairs = givenPairs(floats(given.B), floats(given.R), place.out, place.fanIn);
    return new ClosedProduct(place, pairs, runner.rule === "pfa-o", take);
  }
  if (!given.Ms) return new SignSymmetric(place, runner.kind, runner.kind === "uniform" ? null : floats(given.M));
  const M = floats(given.M), feedback = new SignSymmetric(place, runner.kind, M);
  let step = 0;
  feedback.newBatch = () => M.set(given.Ms![step++]); // torch's draws in place of our own
  return feedback;
}

function look(lane: Lane, meter: Meter, { x, y }: Samples): unknown {
  const { angles, ratios } = pathMeasures(lane), one = new Pass(lane.net, 1); // of the first test sample, as it is shown
  one.forward(x, 1);
  one.compare(y, 1);
  one.backward(1, one.by(lane.feedback));
  return {
    W: lane.net.W.map((W) => [...W]),
    b: lane.net.b.map((b) => [...b]),
    F: lane.feedback.map((feedback) => [...feedback.form()]),
    loss: lane.loss,
    accuracy: meter.accuracy(lane),
    pathAngle: angles,
    normRatio: ratios,
    gradientAngle: meter.gradientAngles(lane),
    activations: one.h.slice(1).map((h) => [...h]),
    errors: one.delta.slice(1).map((delta) => [...delta]),
  };
}

function samples({ x, y }: { x: number[]; y: number[] }): Samples {
  return { x: Float32Array.from(x), y: Uint8Array.from(y) };
}
