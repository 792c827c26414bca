/** 2,000 digits of MNIST in 14×14 pixels, unpacked from the text that make_digits.py writes. */
import text from "../data/digits.txt";
import type { Data } from "./data";

// MNIST's own, as pfa_edu has them for every set of digits.
const MEAN = 0.1307, STD = 0.3081, BRIGHTEST = 15;

export function digits(): Data {
  const [head, packed] = text.trim().split("\n");
  const [train, test, side, labels] = head.split(" ");
  const y = Uint8Array.from(labels, Number), pixels = Number(side) ** 2;
  const x = unpacked(atob(packed), y.length, pixels);
  for (let i = 0; i < x.length; i++) x[i] = (x[i] / BRIGHTEST - MEAN) / STD;
  const split = Number(train);
  if (split + Number(test) !== y.length) throw new Error("digits.txt: its counts and labels do not agree");
  return {
    train: { x: x.subarray(0, split * pixels), y: y.subarray(0, split) },
    test: { x: x.subarray(split * pixels), y: y.subarray(split) },
    classes: 10,
    picture: [Number(side), Number(side)],
  };
}

/** Greys 0 to 15, (n, pixels): for each picture a bit a pixel, lit or not, then four bits for each that is lit. */
function unpacked(bytes: string, n: number, pixels: number): Float32Array {
  const x = new Float32Array(n * pixels);
  let at = 0; // in bits
  const read = (count: number): number => {
    let value = 0;
    for (let i = 0; i < count; i++, at++) value = 2 * value + ((bytes.charCodeAt(at >> 3) >> (7 - (at & 7))) & 1);
    return value;
  };
  for (let s = 0; s < n; s++) {
    const lit: number[] = [];
    for (let p = s * pixels; p < (s + 1) * pixels; p++) if (read(1)) lit.push(p);
    for (const p of lit) x[p] = read(4);
  }
  return x;
}
