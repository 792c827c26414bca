/** Moments of a race that are kept, so that seeking back need not begin at step 0. */
import type { Kept } from "./lane";

const MOST_BYTES = 64e6;
const FEWEST = 8, MOST = 200; // snapshots

/**
 * Keeps a snapshot every `every` steps. When there are too many, every second one is dropped and the distance doubles:
 * memory stays bounded, and seeking replays at most `every` steps, a small part of the race.
 */
export class Snapshots {
  private kept = new Map<number, Kept[]>(); // step -> a lane each; step 0 is never dropped
  private every = 20;
  private readonly most: number;

  /** `size`: numbers in one snapshot of all lanes. */
  constructor(size: number) {
    this.most = Math.min(MOST, Math.max(FEWEST, Math.floor(MOST_BYTES / (4 * size))));
  }

  /** Whether a snapshot is due after `step` steps. */
  due(step: number): boolean {
    return step % this.every === 0 && !this.kept.has(step);
  }

  add(step: number, lanes: Kept[]): void {
    this.kept.set(step, lanes);
    while (this.kept.size > this.most) {
      this.every *= 2;
      for (const at of [...this.kept.keys()]) if (at % this.every) this.kept.delete(at);
    }
  }

  /** The last one at or before `step`. */
  before(step: number): { step: number; lanes: Kept[] } {
    let best = 0;
    for (const at of this.kept.keys()) if (at <= step && at > best) best = at;
    return { step: best, lanes: this.kept.get(best)! };
  }

  /** Forgets what lies beyond `step`. */
  cut(step: number): void {
    for (const at of [...this.kept.keys()]) if (at > step) this.kept.delete(at);
  }

  get count(): number {
    return this.kept.size;
  }
}
