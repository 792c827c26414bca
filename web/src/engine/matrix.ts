/**
 * The one matrix product behind every layer, on plain Float32Arrays. Nearly all the time of a training step is spent
 * here: in WebAssembly's wide registers where there are any, else in JavaScript.
 */
import { COLUMNS, ROWS, floats, tiles } from "./simd";

/** Where a matrix's numbers lie: element (r, c) is at r * row + c * column. A transpose only swaps the two. */
export interface Layout {
  row: number;
  column: number;
}

const WORTH_PACKING = 4000; // multiplications

/** C = scale · A B, or C + scale · A B where `add`. A (rows, k), B (k, columns), C (rows, columns) row-major. */
export function multiply(
  A: Float32Array, a: Layout, B: Float32Array, b: Layout, C: Float32Array, rows: number, columns: number, k: number,
  scale = 1, add = false,
): void {
  const by = tiles && rows * columns * k >= WORTH_PACKING ? multiplyPacked : multiplyPlainly;
  by(A, a, B, b, C, rows, columns, k, scale, add);
}

/** The same through simd.ts: packs A and B into strips, and takes C out of its tiles. */
export function multiplyPacked(
  A: Float32Array, a: Layout, B: Float32Array, b: Layout, C: Float32Array, rows: number, columns: number, k: number,
  scale: number, add: boolean,
): void {
  const stripsA = Math.ceil(rows / ROWS), stripsB = Math.ceil(columns / COLUMNS);
  const atB = stripsA * ROWS * k, atC = atB + stripsB * COLUMNS * k, size = ROWS * COLUMNS;
  const memory = floats(atC + stripsA * stripsB * size);
  pack(A, a.row, a.column, rows, k, ROWS, memory, 0);
  pack(B, b.column, b.row, columns, k, COLUMNS, memory, atB);
  tiles!(0, 4 * atB, 4 * atC, stripsA, stripsB, k);
  for (let r = 0; r < rows; r++) {
    let from = atC + Math.floor(r / ROWS) * stripsB * size + (r % ROWS) * COLUMNS;
    for (let c = 0; c < columns; from += size) {
      for (let t = from, o = r * columns + c, end = Math.min(columns, c + COLUMNS); c < end; c++, t++, o++) {
        C[o] = add ? C[o] + scale * memory[t] : scale * memory[t];
      }
    }
  }
}

/** `count` vectors of length k into strips of `width`, number by number; what is missing in the last strip is 0. */
function pack(
  M: Float32Array, next: number, along: number, count: number, k: number, width: number, into: Float32Array, at: number,
): void {
  for (let first = 0; first < count; first += width, at += k * width) {
    for (let w = 0; w < width; w++) {
      let from = (first + w) * next;
      if (first + w >= count) for (let i = 0, o = at + w; i < k; i++, o += width) into[o] = 0;
      else for (let i = 0, o = at + w; i < k; i++, o += width, from += along) into[o] = M[from];
    }
  }
}

/**
 * The same in JavaScript alone: tiles of 2 × 4, as six numbers loaded serve eight multiplications, and the eight sums
 * stay in registers.
 */
export function multiplyPlainly(
  A: Float32Array, a: Layout, B: Float32Array, b: Layout, C: Float32Array, rows: number, columns: number, k: number,
  scale: number, add: boolean,
): void {
  for (let r = 0; r < rows; r += 2) {
    const a0 = r * a.row, a1 = r + 1 < rows ? a0 + a.row : a0; // at the edge a row or column is worked out twice
    for (let c = 0; c < columns; c += 4) {
      const b0 = c * b.column, b1 = c + 1 < columns ? b0 + b.column : b0;
      const b2 = c + 2 < columns ? b1 + b.column : b0, b3 = c + 3 < columns ? b2 + b.column : b0;
      let s0 = 0, s1 = 0, s2 = 0, s3 = 0, t0 = 0, t1 = 0, t2 = 0, t3 = 0;
      for (let i = 0, ia = 0, ib = 0; i < k; i++, ia += a.column, ib += b.row) {
        const x = A[a0 + ia], y = A[a1 + ia];
        const p = B[b0 + ib], q = B[b1 + ib], u = B[b2 + ib], v = B[b3 + ib];
        s0 += x * p;
        s1 += x * q;
        s2 += x * u;
        s3 += x * v;
        t0 += y * p;
        t1 += y * q;
        t2 += y * u;
        t3 += y * v;
      }
      const o = r * columns + c, n = Math.min(4, columns - c);
      store(C, o, n, scale, add, s0, s1, s2, s3);
      if (r + 1 < rows) store(C, o + columns, n, scale, add, t0, t1, t2, t3);
    }
  }
}

function store(
  C: Float32Array, o: number, n: number, scale: number, add: boolean, s0: number, s1: number, s2: number, s3: number,
): void {
  C[o] = scale * s0 + (add ? C[o] : 0);
  if (n > 1) C[o + 1] = scale * s1 + (add ? C[o + 1] : 0);
  if (n > 2) C[o + 2] = scale * s2 + (add ? C[o + 2] : 0);
  if (n > 3) C[o + 3] = scale * s3 + (add ? C[o + 3] : 0);
}

const plain = (columns: number): Layout => ({ row: columns, column: 1 });
const transposed = (columns: number): Layout => ({ row: 1, column: columns });

/** A = H Wᵀ + b: the forward pass. H (n, in), W (out, in), b (out), A (n, out). */
export function forward(
  H: Float32Array, W: Float32Array, b: Float32Array, A: Float32Array, n: number, out: number, fanIn: number,
): void {
  for (let s = 0; s < n; s++) A.set(b, s * out);
  multiply(H, plain(fanIn), W, transposed(fanIn), A, n, out, fanIn, 1, true);
}

/** Y = scale · X M, or Y + it: an error carried back. X (n, k), M (k, m), Y (n, m). */
export function carry(
  X: Float32Array, M: Float32Array, Y: Float32Array, n: number, k: number, m: number, scale = 1, add = false,
): void {
  multiply(X, plain(k), M, plain(m), Y, n, m, k, scale, add);
}

/** G = Dᵀ H, or G + it: the weight's gradient, δ hᵀ summed over the batch. D (n, out), H (n, in), G (out, in). */
export function outer(
  D: Float32Array, H: Float32Array, G: Float32Array, n: number, out: number, fanIn: number, add = false,
): void {
  multiply(D, transposed(out), H, plain(fanIn), G, out, fanIn, n, 1, add);
}
