/** The sets that can be learned: digits, and points in a plane. */
import type { DatasetName } from "../contract";
import { digits } from "./digits";
import type { Samples } from "./measure";
import { Draw, Rng } from "./rng";
import { TOYS } from "./toys";

export interface Data {
  train: Samples;
  test: Samples;
  classes: number;
  picture: [number, number] | null; // rows, columns of an input that is a picture
}

const TRAIN = 600, TEST = 400; // points of a toy

/** The set of that name; a toy's points come from the seed. */
export function load(name: DatasetName, seed: number): Data {
  if (name === "digits") return digits();
  const rng = new Rng(seed, Draw.Points), { classes, point } = TOYS[name];
  const draw = (n: number): Samples => {
    const x = new Float32Array(2 * n), y = new Uint8Array(n);
    for (let s = 0; s < n; s++) {
      y[s] = s % classes;
      x.set(point(rng, y[s]), 2 * s);
    }
    return { x, y };
  };
  return { train: draw(TRAIN), test: draw(TEST), classes, picture: null };
}

/** The training samples of one epoch in random order. The same seed and epoch, the same order. */
export function epochOrder(n: number, seed: number, epoch: number): Uint32Array {
  return new Rng(seed, Draw.Batches, epoch).permutation(n);
}

/** The named rows of `samples`, copied into `into`, whose arrays have room for them. */
export function gather(samples: Samples, rows: Uint32Array, into: Samples): void {
  const width = samples.x.length / samples.y.length;
  rows.forEach((row, s) => {
    into.x.set(samples.x.subarray(row * width, (row + 1) * width), s * width);
    into.y[s] = samples.y[row];
  });
}
