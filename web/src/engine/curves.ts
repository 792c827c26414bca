/** What was measured of every lane, on a grid of steps. */
import type { Curves } from "../contract";
import type { Lane } from "./lane";
import type { Meter } from "./measure";
import { pathMeasures } from "./measure";

/** One lane at one step. */
export interface Measured {
  loss: number;
  accuracy: number;
  pathAngle: number[]; // [L]
  gradientAngle: number[]; // [L]
}

/**
 * How many steps from `step` to the next point of the curves.
 *
 * A measurement costs as much as several training steps, so there are many points at first, where much happens, and
 * fewer later. The grid depends on nothing but the step: speed and seeking leave no trace in the curves.
 */
export function gap(step: number): number {
  if (step < 10) return 2;
  if (step < 50) return 5;
  if (step < 500) return 10;
  if (step < 2000) return 20;
  if (step < 20_000) return 50;
  return 200 * 2 ** Math.floor(Math.log2(step / 20_000));
}

export class Recorder {
  private points: { step: number; lanes: Measured[] }[] = [];
  private gathered: Curves | null = null; // as arrays; null: to be gathered again
  private due = 0; // the next step of the grid that is not recorded yet

  /** Records the lanes as they are after `step` steps, if the grid asks for it and it is not known yet. */
  record(step: number, lanes: Lane[], meter: Meter): void {
    if (step !== this.due) return;
    this.points.push({ step, lanes: lanes.map((lane) => measured(lane, meter)) });
    this.due = step + gap(step);
    this.gathered = null;
  }

  /** Forgets what lies beyond `step`. */
  cut(step: number): void {
    while (this.points.length > 1 && this.latest.step > step) this.points.pop();
    this.due = this.latest.step + gap(this.latest.step);
    this.gathered = null;
  }

  /** The last point at or before `step`. */
  at(step: number): { step: number; lanes: Measured[] } {
    let low = 0, high = this.points.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.points[middle].step <= step) low = middle;
      else high = middle;
    }
    return this.points[low];
  }

  /** All of it, in fresh arrays: they are given away to the page. Copying is far cheaper than gathering. */
  curves(): Curves {
    this.gathered ??= this.gather();
    const { steps, runs } = this.gathered;
    return {
      steps: steps.slice(),
      runs: runs.map((run) => ({
        loss: run.loss.slice(),
        accuracy: run.accuracy.slice(),
        pathAngle: run.pathAngle.slice(),
        gradientAngle: run.gradientAngle.slice(),
      })),
    };
  }

  private gather(): Curves {
    const { points } = this;
    return {
      steps: Float64Array.from(points, (point) => point.step),
      runs: points[0].lanes.map((_, i) => ({
        loss: Float32Array.from(points, (point) => point.lanes[i].loss),
        accuracy: Float32Array.from(points, (point) => point.lanes[i].accuracy),
        pathAngle: Float32Array.from(points.flatMap((point) => point.lanes[i].pathAngle)),
        gradientAngle: Float32Array.from(points.flatMap((point) => point.lanes[i].gradientAngle)),
      })),
    };
  }

  private get latest(): { step: number; lanes: Measured[] } {
    return this.points[this.points.length - 1];
  }
}

export function measured(lane: Lane, meter: Meter): Measured {
  return {
    loss: lane.loss,
    accuracy: meter.accuracy(lane),
    pathAngle: pathMeasures(lane).angles,
    gradientAngle: meter.gradientAngles(lane),
  };
}
