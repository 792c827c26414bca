/** How many snapshots a long race keeps, how far apart, and what is nearest to a step. */
import { Snapshots } from "../src/engine/snapshots";

export function main({ size, steps, seeks }: { size: number; steps: number; seeks: number[] }): unknown {
  const snapshots = new Snapshots(size);
  let most = 0;
  for (let step = 0; step <= steps; step++) {
    if (snapshots.due(step)) snapshots.add(step, []);
    most = Math.max(most, snapshots.count);
  }
  const found = seeks.map((step) => snapshots.before(step).step);
  snapshots.cut(seeks[0]);
  return { most, found, afterCut: snapshots.before(Infinity).step };
}
