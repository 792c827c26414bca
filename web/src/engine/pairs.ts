/** PFA's B (out, mid) and R (mid, in) at the start, a mid neuron at a time: b, its column of B, and r, its row of R. */
import type { Place } from "./feedback";
import { Rng, xavierBound } from "./rng";

export interface Pair {
  b: ArrayLike<number>; // (out,): from the mid neuron's side, which errors reach it; fixed
  r: ArrayLike<number>; // (in,): plastic
}

export interface Bunch {
  b: Float32Array;
  r: Float32Array;
  n: number;
}

/** Of given B (out, mid) and R (mid, in), row-major. */
export function* givenPairs(B: ArrayLike<number>, R: ArrayLike<number>, out: number, fanIn: number): Iterable<Pair> {
  const mid = B.length / out;
  for (let m = 0; m < mid; m++) {
    yield {
      b: Float64Array.from({ length: out }, (_, o) => B[o * mid + m]),
      r: Float64Array.from({ length: fanIn }, (_, i) => R[m * fanIn + i]),
    };
  }
}

/** PFA's: B uniform with variance 1/mid, so that E[B Bᵀ] = I; R Xavier-uniform. */
export function* productPairs(rng: Rng, { out, fanIn }: Place, mid: number): Iterable<Pair> {
  const bBound = Math.sqrt(3 / mid), rBound = xavierBound(mid, fanIn);
  const b = new Float64Array(out), r = new Float64Array(fanIn); // used again for every mid neuron
  for (let m = 0; m < mid; m++) {
    for (let o = 0; o < out; o++) b[o] = rng.within(bBound);
    for (let i = 0; i < fanIn; i++) r[i] = rng.within(rBound);
    yield { b, r };
  }
}

/** PFA-o's: B a random orthogonal matrix, as many mid neurons as output neurons. */
export function* orthogonalPairs(rng: Rng, { out, fanIn }: Place): Iterable<Pair> {
  const columns: Float64Array[] = [];
  for (let m = 0; m < out; m++) {
    const b = Float64Array.from({ length: out }, () => rng.normal());
    for (let pass = 0; pass < 2; pass++) { // Gram and Schmidt; the second pass removes what rounding left
      for (const other of columns) add(b, other, -dot(b, other));
    }
    const length = Math.sqrt(dot(b, b));
    for (let o = 0; o < out; o++) b[o] /= length;
    columns.push(b);
  }
  const bound = xavierBound(out, fanIn);
  for (const b of columns) yield { b, r: Float64Array.from({ length: fanIn }, () => rng.within(bound)) };
}

/** The pairs of so many mid neurons below one another: b (n, out), r (n, in). The arrays are used again. */
export function* bunches(pairs: Iterable<Pair>, out: number, fanIn: number): Iterable<Bunch> {
  const most = 128, b = new Float32Array(most * out), r = new Float32Array(most * fanIn);
  let n = 0;
  for (const pair of pairs) {
    b.set(pair.b, n * out);
    r.set(pair.r, n * fanIn);
    if (++n < most) continue;
    yield { b, r, n };
    n = 0;
  }
  if (n) yield { b, r, n };
}

function dot(u: Float64Array, v: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < u.length; i++) sum += u[i] * v[i];
  return sum;
}

function add(u: Float64Array, v: Float64Array, scale: number): void {
  for (let i = 0; i < u.length; i++) u[i] += scale * v[i];
}
