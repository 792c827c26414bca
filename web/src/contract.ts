/**
 * What the page and whoever trains say to each other.
 *
 * A worker trains (engine/worker.ts); the view sends a Command, and draws the latest Message. Every Frame is complete
 * in itself, so the view may skip frames, and needs no memory of earlier ones.
 *
 * Shapes: matrices are row-major Float32Arrays, W (out, in) as in torch: W[o * in + i] leads from input i to output o.
 * Layers are counted from the input, 0 to L - 1; sizes = [inputs, hidden..., classes] has L + 1 entries.
 */

export type RuleName = "bp" | "fa" | "dfa" | "sf" | "kp" | "pfa" | "pfa-o";
export type DatasetName = "digits" | "moons" | "circles" | "xor" | "spirals";
/** Sign symmetry: one magnitude; random magnitudes drawn once; drawn again for every batch. */
export type SignKind = "uniform" | "fixed" | "batch";

export interface Runner {
  rule: RuleName;
  ratio: number; // PFA: mid neurons per output neuron; ratio * out must be whole in every layer
  kind: SignKind; // SF alone
}

export interface Config {
  runners: Runner[]; // 1 to 3: they train side by side on the same batches, from the same W
  dataset: DatasetName;
  hidden: number[]; // neurons of each hidden layer, input side first
  lr: number; // dfa trains at a fifth of it
  momentum: number;
  weightDecay: number; // L2, in the gradient, as torch.optim.SGD has it
  strongDecay: number; // kp, pfa, pfa-o: in place of weightDecay for the first strongSteps steps
  strongSteps: number;
  batch: number;
  seed: number; // of the weights, the feedback, the batches and the toys' points
}

export const LIMITS: Record<string, [number, number]> = {
  runners: [1, 3], depth: [1, 6], width: [1, 256], ratio: [0.1, 100], lr: [1e-4, 1], momentum: [0, 0.99],
  weightDecay: [0, 0.5], strongDecay: [0, 0.5], strongSteps: [0, 20000], batch: [1, 256], seed: [0, 9999],
};

// ---------------------------------------------------------------------------------------------- page -> trainer

export type Command =
  | { type: "start"; config: Config } // builds the networks, at rest at step 0, and answers with "ready"
  | { type: "play"; speed: number } // steps a second; Infinity: as fast as possible
  | { type: "pause" }
  | { type: "step"; count: number } // pauses, then so many steps
  | { type: "seek"; step: number } // to any step, back or forward; bit for bit what training passed through
  | { type: "reset" } // seek to 0, at rest, with the pace and the curves as they were at the start
  | { type: "pace"; lr: number; weightDecay: number } // from this step on; what came later is forgotten
  | { type: "show"; show: Show };

/** What a frame should hold. What is not drawn need not be sent. */
export interface Show {
  sample: number; // index into the test set: whose activity and error are shown
  point?: [number, number]; // toys: a point of the plane in its place, with the class of `sample`
  weights: boolean; // W and F of every layer
  grid: number; // toys: side of the map of the plane in cells; 0: none
}

// ---------------------------------------------------------------------------------------------- trainer -> page

export type Message = Ready | Frame | Failure;

/** The answer to "start": everything that does not change while it trains. A Frame follows at once. */
export interface Ready {
  type: "ready";
  config: Config;
  sizes: number[];
  floors: (number | null)[][]; // [runner][layer]: where theory says the path angle ends, degrees; null: no prediction
  mids: (number | null)[][]; // [runner][layer]: mid neurons of the feedback path; null: it has none
  picture: [number, number] | null; // digits: rows, columns of the input
  points: { x: Float32Array; y: Uint8Array } | null; // toys: training points (n, 2) in [-1.25, 1.25]², and classes
  samples: number; // of the test set
  trained: number; // samples of the training set
}

export interface Frame {
  type: "frame";
  step: number; // steps done
  epoch: number; // a fraction; the last batch of an epoch is left out if it is short
  playing: boolean;
  speed: number; // steps a second that were reached of late; 0 at rest
  last: number; // the furthest step reached since the start or the last change of pace: the scrubber's end
  lr: number;
  weightDecay: number;
  label: number; // class of the shown sample
  runs: RunFrame[];
  curves: Curves;
}

/** One runner at `step`. Angles in degrees; NaN where there is none. */
export interface RunFrame {
  fellAt: number | null; // the step whose loss was no longer finite; it has stood still since then
  loss: number; // on the last training batch; NaN at step 0
  accuracy: number; // percent of the test set, at `measured`
  gradientAngle: number[]; // [layer], to backprop's gradient at the same weights and samples, at `measured`
  measured: number; // the step of these two: `step` itself at rest, at most a few dozen steps before it in full flight
  pathAngle: number[]; // [layer] between F and W, at `step`; all NaN for dfa, which has no F
  normRatio: number[]; // [layer] ‖F‖ / ‖W‖
  /** W (out, in) and F of the same shape for every layer; dfa: F is D (classes, in), from the output's error to the
   * layer's input. F of layer 0 exists, but carries nothing: no error goes below the input. Null if not asked for. */
  weights: { W: Float32Array; F: Float32Array }[] | null;
  activations: Float32Array[]; // [L + 1]: the shown sample's input, hidden activities after ReLU, class probabilities
  errors: Float32Array[]; // [L + 1]: errors[l + 1] = dL/da of layer l by the rule; errors[0] is empty
  grid: Float32Array | null; // (side, side, classes) probabilities over [-1.25, 1.25]², row 0 at the bottom
}

/** Everything measured so far, on a grid of steps that does not depend on the speed or on when anybody looked. */
export interface Curves {
  steps: Float64Array; // (points,), ascending, up to `last`
  runs: {
    loss: Float32Array; // (points,)
    accuracy: Float32Array; // (points,)
    pathAngle: Float32Array; // (points, L)
    gradientAngle: Float32Array; // (points, L)
  }[];
}

/** A config or a command that cannot be carried out; the message says the value, the reason and the way out. */
export interface Failure {
  type: "failure";
  message: string;
}

/** Whoever trains, as the view sees them. */
export interface Trainer {
  send(command: Command): void;
  listen(hear: (message: Message) => void): void; // one listener: the last one set
}
