/** Points in the square from -1.25 to 1.25, so that what a network has learned can be drawn as a map of the plane. */
import type { DatasetName } from "../contract";
import type { Rng } from "./rng";

interface Toy {
  classes: number;
  point(rng: Rng, y: number): [number, number]; // a random point of class y
}

export const TOYS: Record<Exclude<DatasetName, "digits">, Toy> = {
  moons: {
    classes: 2,
    point: (rng, y) => {
      const turn = Math.PI * rng.uniform(), side = y ? -1 : 1; // two half circles that reach into each other
      return [
        0.65 * side * Math.cos(turn) - 0.325 * side + stray(rng, 0.06),
        0.65 * side * Math.sin(turn) - 0.16 * side + stray(rng, 0.06),
      ];
    },
  },
  circles: {
    classes: 2,
    point: (rng, y) => {
      const turn = 2 * Math.PI * rng.uniform(), radius = (y ? 0.9 : 0.4) + stray(rng, 0.06);
      return [radius * Math.cos(turn), radius * Math.sin(turn)];
    },
  },
  xor: {
    classes: 2,
    point: (rng, y) => {
      const right = rng.uniform() < 0.5 ? -1 : 1, up = y ? -right : right; // quadrants across a corner share a class
      return [right * (0.08 + rng.uniform()), up * (0.08 + rng.uniform())];
    },
  },
  spirals: {
    classes: 3, // three arms, as in pfa_edu.lessons
    point: (rng, y) => {
      const radius = Math.sqrt(rng.uniform()); // the root spreads them evenly
      const turn = 2 * Math.PI * (y / 3 + radius) + stray(rng, 0.09) / Math.max(radius, 0.2);
      return [radius * Math.cos(turn), radius * Math.sin(turn)];
    },
  },
};

function stray(rng: Rng, size: number): number {
  return size * rng.normal();
}
