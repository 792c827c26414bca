/** The product in WebAssembly against the one in JavaScript, for sizes that fill no tile and for every layout. */
import { multiplyPacked, multiplyPlainly } from "../src/engine/matrix";
import { Rng, uniform } from "../src/engine/rng";
import { tiles } from "../src/engine/simd";

export function main({ sizes }: { sizes: [number, number, number][] }): unknown {
  let worst = 0, products = 0;
  for (const [rows, columns, k] of sizes) {
    for (const layouts of [0, 1, 2, 3]) {
      for (const add of [false, true]) {
        const rng = new Rng(rows, columns, k, layouts);
        const A = uniform(rng, rows * k, 1), B = uniform(rng, k * columns, 1), C = uniform(rng, rows * columns, 1);
        const a = layouts & 1 ? { row: 1, column: rows } : { row: k, column: 1 };
        const b = layouts & 2 ? { row: 1, column: k } : { row: columns, column: 1 };
        const packed = C.slice(), plain = C.slice();
        multiplyPacked(A, a, B, b, packed, rows, columns, k, -0.5, add);
        multiplyPlainly(A, a, B, b, plain, rows, columns, k, -0.5, add);
        for (let i = 0; i < C.length; i++) worst = Math.max(worst, Math.abs(packed[i] - plain[i]) / Math.sqrt(k));
        products++;
      }
    }
  }
  return { worst, products, wide: tiles !== null };
}
