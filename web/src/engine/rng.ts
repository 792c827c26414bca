/**
 * Random numbers that a key gives: the same key, the same numbers, on every machine.
 *
 * The key says what is drawn, (seed, BATCHES, epoch) say, so no generator has to be kept or restored: what a step draws
 * depends on the step alone. That is why seeking back is exact.
 */

/** What is drawn: the second part of a key. */
export const enum Draw { Weights, Feedback, Batches, Signs, Points }

/** xoshiro128** (Blackman & Vigna 2018), its state filled from the key by splitmix32's mixing. */
export class Rng {
  private readonly s = new Uint32Array(4);
  private spare: number | null = null;

  constructor(...key: number[]) {
    let mixed = 0x9e3779b9;
    for (const part of key) mixed = mix((mixed ^ part) + 0x9e3779b9);
    for (let i = 0; i < 4; i++) this.s[i] = mixed = mix(mixed + 0x9e3779b9);
    if (this.s.every((word) => word === 0)) this.s[0] = 1; // the one state that xoshiro cannot leave
  }

  /** 32 random bits. */
  bits(): number {
    const s = this.s;
    const x = Math.imul(s[1], 5);
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return result;
  }

  /** In [0, 1). */
  uniform(): number {
    return this.bits() / 2 ** 32;
  }

  /** In [-bound, bound). */
  within(bound: number): number {
    return (2 * this.uniform() - 1) * bound;
  }

  /** Gaussian, by Box and Muller: two at a time. */
  normal(): number {
    if (this.spare !== null) {
      const kept = this.spare;
      this.spare = null;
      return kept;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform())); // 1 - u is never 0
    const turn = 2 * Math.PI * this.uniform();
    this.spare = radius * Math.sin(turn);
    return radius * Math.cos(turn);
  }

  /** The numbers from 0 to n - 1 in random order (Fisher & Yates). */
  permutation(n: number): Uint32Array {
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = Math.floor(this.uniform() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }
}

function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}

/** Xavier-uniform's bound for a matrix (out, in): the standard deviation is sqrt(2 / (in + out)). */
export function xavierBound(out: number, fanIn: number): number {
  return Math.sqrt(6 / (out + fanIn));
}

/** `size` numbers in [-bound, bound), as a Float32Array. */
export function uniform(rng: Rng, size: number, bound: number): Float32Array {
  return Float32Array.from({ length: size }, () => rng.within(bound));
}
