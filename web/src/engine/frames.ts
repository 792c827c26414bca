/** What the page is told of a race. */
import type { Curves, Frame, Ready, RunFrame, Show } from "../contract";
import { measured } from "./curves";
import type { Measured } from "./curves";
import type { Lane } from "./lane";
import { angle, norm } from "./measure";
import { Pass } from "./network";
import type { Race } from "./race";
import { RULES } from "./rules";

export const REACH = 1.25; // the map shows the square from -REACH to REACH

export function ready(race: Race): Ready {
  const { config, data, sizes } = race, outs = sizes.slice(1);
  return {
    type: "ready",
    config,
    sizes,
    floors: config.runners.map(({ rule, ratio }) => outs.map((out) => RULES[rule].limit(ratio, out))),
    mids: config.runners.map(({ rule, ratio }) => outs.map((out) => RULES[rule].mid(ratio, out))),
    picture: data.picture,
    points: data.picture ? null : { x: data.train.x.slice(), y: data.train.y.slice() },
    samples: data.test.y.length,
    trained: data.train.y.length,
  };
}

/** How a race stands with the page: what the worker knows beside the race itself. */
export interface Standing {
  playing: boolean;
  speed: number;
  exact: boolean; // whether there is time to measure accuracy and gradient angle at this very step
}

/** Makes frames; keeps the room for the shown sample and the map, which are the same size every time. */
export class Framer {
  private readonly one: Pass[]; // for the shown sample, a lane each
  private map: { side: number; x: Float32Array; passes: Pass[] } | null = null;
  private fresh: { step: number; lanes: Measured[] } | null = null;

  constructor(private readonly race: Race) {
    this.one = race.lanes.map((lane) => new Pass(lane.net, 1));
  }

  frame(show: Show, standing: Standing): Frame {
    const { race } = this, { lr, weightDecay } = race.pace;
    const { x, y } = this.shown(show), known = this.known(standing.exact);
    return {
      type: "frame",
      step: race.step,
      epoch: race.epoch,
      playing: standing.playing,
      speed: standing.speed,
      last: race.last,
      lr,
      weightDecay,
      label: y[0],
      runs: race.lanes.map((lane, i) => this.run(i, lane, x, y, show, known.step, known.lanes[i])),
      curves: race.recorder.curves(),
    };
  }

  private run(
    i: number, lane: Lane, x: Float32Array, y: Uint8Array, show: Show, step: number, known: Measured,
  ): RunFrame {
    const pass = this.one[i], { W } = lane.net;
    pass.forward(x, 1);
    pass.compare(y, 1);
    pass.backward(1, pass.by(lane.feedback));
    const forms = lane.feedback.map((feedback) => feedback.form().slice()), direct = lane.runner.rule === "dfa";
    return {
      fellAt: lane.fellAt,
      loss: lane.loss,
      accuracy: known.accuracy,
      gradientAngle: known.gradientAngle,
      measured: step,
      pathAngle: forms.map((F, l) => (direct ? NaN : angle(F, W[l]))),
      normRatio: forms.map((F, l) => (direct ? NaN : norm(F) / norm(W[l]))),
      weights: show.weights ? forms.map((F, l) => ({ W: W[l].slice(), F })) : null,
      activations: pass.h.map((h) => h.slice()),
      errors: pass.delta.map((delta) => delta.slice()),
      grid: this.race.data.picture || !show.grid ? null : this.mapOf(i, show.grid),
    };
  }

  /** The sample that is shown: x (1, inputs), y (1,). */
  private shown({ sample, point }: Show): { x: Float32Array; y: Uint8Array } {
    const { test, picture } = this.race.data, inputs = this.race.sizes[0];
    const s = Math.min(Math.max(0, Math.floor(sample)), test.y.length - 1);
    const x = !picture && point ? Float32Array.from(point) : test.x.subarray(s * inputs, (s + 1) * inputs);
    return { x, y: test.y.subarray(s, s + 1) };
  }

  /** The last measurement; of this very step where there is time for it. */
  private known(exact: boolean): { step: number; lanes: Measured[] } {
    const { race } = this, recorded = race.recorder.at(race.step);
    if (!exact || recorded.step === race.step) return recorded;
    if (this.fresh?.step !== race.step) {
      this.fresh = { step: race.step, lanes: race.lanes.map((lane) => measured(lane, race.meter)) };
    }
    return this.fresh;
  }

  /** What lane `i` answers over the plane: (side, side, classes) probabilities, row 0 at the bottom. */
  private mapOf(i: number, side: number): Float32Array {
    if (this.map?.side !== side) {
      this.map = { side, x: plane(side), passes: this.race.lanes.map((lane) => new Pass(lane.net, side)) };
    }
    const { x, passes } = this.map, pass = passes[i], classes = this.race.data.classes;
    const map = new Float32Array(side * side * classes), labels = new Uint8Array(side);
    for (let row = 0; row < side; row++) {
      pass.forward(x.subarray(row * side * 2, (row + 1) * side * 2), side);
      pass.compare(labels, side); // for the probabilities alone
      map.set(pass.h[pass.h.length - 1].subarray(0, side * classes), row * side * classes);
    }
    return map;
  }
}

/** The middles of side × side cells of the plane, (side * side, 2), from the lower left, row by row. */
function plane(side: number): Float32Array {
  const at = (k: number): number => REACH * ((2 * k + 1) / side - 1);
  const x = new Float32Array(side * side * 2);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) x.set([at(column), at(row)], 2 * (row * side + column));
  }
  return x;
}

/** The buffers of a message, to be handed over instead of copied. */
export function buffers(message: Ready | Frame): ArrayBuffer[] {
  if (message.type === "ready") return message.points ? [of(message.points.x), of(message.points.y)] : [];
  const arrays = message.runs.flatMap((run) => [
    ...(run.weights ?? []).flatMap(({ W, F }) => [W, F]), ...run.activations, ...run.errors,
    ...(run.grid ? [run.grid] : []),
  ]);
  return [...arrays.map(of), ...ofCurves(message.curves)];
}

function ofCurves({ steps, runs }: Curves): ArrayBuffer[] {
  const arrays = runs.flatMap((run) => [run.loss, run.accuracy, run.pathAngle, run.gradientAngle]);
  return [steps.buffer as ArrayBuffer, ...arrays.map(of)];
}

function of(array: Float32Array | Uint8Array): ArrayBuffer {
  return array.buffer as ArrayBuffer; // each is a fresh array of its own
}
