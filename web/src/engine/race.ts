/**
 * The race: up to three rules train the same network on the same batches, a step at a time.
 *
 * What a step does depends on the weights, the step's number and the pace alone: batches come from (seed, epoch), and
 * there is no other randomness. So going back to a snapshot and training again passes through the same numbers, bit for
 * bit.
 */
import type { Config } from "../contract";
import { check, within } from "./config";
import { Recorder } from "./curves";
import { epochOrder, gather, load } from "./data";
import type { Data } from "./data";
import { Lane, firstWeights } from "./lane";
import { Meter } from "./measure";
import type { Samples } from "./measure";
import { Snapshots } from "./snapshots";

export const PROBE = 32; // training samples that measure the gradient angle

/** Learning rate and weight decay from a step on. */
interface Change {
  from: number;
  lr: number;
  weightDecay: number;
}

export class Race {
  readonly data: Data;
  readonly sizes: number[];
  readonly lanes: Lane[];
  readonly recorder = new Recorder();
  readonly meter: Meter;
  readonly batch: number; // samples a step: the config's, or all there are
  step = 0; // done
  last = 0; // the furthest that is known
  private readonly snapshots: Snapshots;
  private readonly samples: Samples; // of the present batch
  private changes: Change[];
  private order = { epoch: -1, rows: new Uint32Array(0) };

  constructor(readonly config: Config) {
    check(config);
    this.data = load(config.dataset, config.seed);
    const { train, test, classes } = this.data, inputs = train.x.length / train.y.length;
    this.sizes = [inputs, ...config.hidden, classes];
    this.batch = Math.min(config.batch, train.y.length);
    const start = firstWeights(this.sizes, config.seed);
    this.lanes = config.runners.map((runner) => new Lane(runner, config.seed, start, this.batch));
    this.meter = new Meter({ x: train.x.subarray(0, PROBE * inputs), y: train.y.subarray(0, PROBE) }, test);
    this.samples = { x: new Float32Array(this.batch * inputs), y: new Uint8Array(this.batch) };
    this.snapshots = new Snapshots(this.lanes.reduce((sum, lane) => sum + lane.size, 0));
    this.changes = this.atFirst();
    this.keep();
  }

  /** One step of SGD of every lane, on the same batch. */
  advance(): void {
    this.nextBatch();
    const { lr, weightDecay } = this.pace, { momentum, strongDecay, strongSteps } = this.config;
    for (const lane of this.lanes) {
      const decay = lane.alignsByDecay && this.step < strongSteps ? strongDecay : weightDecay;
      lane.step(this.step, this.samples.x, this.samples.y, this.batch, { lr: lr * lane.rateShare, momentum, decay });
    }
    this.step++;
    this.last = Math.max(this.last, this.step);
    this.keep();
  }

  /** To the nearest moment at or before `step` from which `advance` leads there. */
  rewind(step: number): void {
    const from = this.snapshots.before(step);
    if (this.step <= step && this.step >= from.step) return; // it is nearer to go on from here
    this.step = from.step;
    this.lanes.forEach((lane, i) => lane.restore(from.lanes[i]));
  }

  /** The pace from this step on; what was beyond it is no longer what will come, and is forgotten. */
  setPace(lr: number, weightDecay: number): void {
    within("lr", lr, false);
    within("weightDecay", weightDecay, false);
    this.forget();
    this.changes.push({ from: this.step, lr, weightDecay });
  }

  /** Back to the start, in everything. */
  reset(): void {
    this.rewind(0);
    this.forget();
    this.changes = this.atFirst();
  }

  /** Learning rate and weight decay of the next step. */
  get pace(): Change {
    let present = this.changes[0];
    for (const change of this.changes) if (change.from <= this.step) present = change;
    return present;
  }

  get epoch(): number {
    return this.step / this.batchesAnEpoch;
  }

  private get batchesAnEpoch(): number {
    return Math.floor(this.data.train.y.length / this.batch); // the last, short one is left out
  }

  private atFirst(): Change[] {
    return [{ from: 0, lr: this.config.lr, weightDecay: this.config.weightDecay }];
  }

  private forget(): void {
    this.last = this.step;
    this.recorder.cut(this.step);
    this.snapshots.cut(this.step);
    this.changes = this.changes.filter((change) => change.from < this.step || change.from === 0);
  }

  private keep(): void {
    this.recorder.record(this.step, this.lanes, this.meter);
    if (this.snapshots.due(this.step)) this.snapshots.add(this.step, this.lanes.map((lane) => lane.save()));
  }

  private nextBatch(): void {
    const epoch = Math.floor(this.epoch), at = (this.step % this.batchesAnEpoch) * this.batch;
    if (this.order.epoch !== epoch) {
      this.order = { epoch, rows: epochOrder(this.data.train.y.length, this.config.seed, epoch) };
    }
    gather(this.data.train, this.order.rows.subarray(at, at + this.batch), this.samples);
  }
}
