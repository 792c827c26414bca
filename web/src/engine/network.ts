/** A network of fully connected layers: ReLU between them, softmax and cross-entropy at the end. */
import type { Feedback } from "./feedback";
import { forward, outer } from "./matrix";

/** Weights and biases. sizes = [inputs, hidden..., classes]; layer l leads from sizes[l] to sizes[l + 1]. */
export interface Net {
  sizes: number[];
  W: Float32Array[]; // [L]: (out, in)
  b: Float32Array[]; // [L]: (out,)
}

/** Room for one pass of up to `most` samples, forward and back. Reused, so that training allocates nothing. */
export class Pass {
  readonly h: Float32Array[]; // [L + 1]: (n, size): input, activities after ReLU, and last the class probabilities
  readonly delta: Float32Array[]; // [L + 1]: (n, size): delta[l + 1] = dL/da of layer l; delta[0] is empty
  readonly gradW: Float32Array[]; // [L]
  readonly gradB: Float32Array[]; // [L]
  loss = NaN; // mean cross-entropy

  constructor(readonly net: Net, readonly most: number) {
    const { sizes } = net;
    this.h = sizes.map((size) => new Float32Array(most * size));
    this.delta = sizes.map((size, l) => new Float32Array(l ? most * size : 0));
    this.gradW = net.W.map((W) => new Float32Array(W.length));
    this.gradB = net.b.map((b) => new Float32Array(b.length));
  }

  /** From x (n, inputs), copied in, to the class probabilities in the last h. */
  forward(x: Float32Array, n: number): void {
    const { sizes, W, b } = this.net, L = W.length;
    this.h[0].set(x.subarray(0, n * sizes[0]));
    for (let l = 0; l < L; l++) {
      const a = this.h[l + 1], out = sizes[l + 1];
      forward(this.h[l], W[l], b[l], a, n, out, sizes[l]);
      if (l < L - 1) for (let i = 0; i < n * out; i++) a[i] = a[i] > 0 ? a[i] : 0;
    }
  }

  /** The logits in the last h become probabilities, e = dL/da of the last layer, and the loss. y (n,) classes. */
  compare(y: Uint8Array, n: number): void {
    const classes = this.net.sizes[this.net.sizes.length - 1];
    const p = this.h[this.h.length - 1], e = this.delta[this.delta.length - 1];
    this.loss = 0;
    for (let s = 0; s < n; s++) {
      const at = s * classes, right = at + y[s];
      const top = highest(p, at, classes), logit = p[right];
      let total = 0, others = 0; // of exp(a - top)
      for (let c = at; c < at + classes; c++) {
        const part = Math.exp(p[c] - top);
        total += part;
        if (c !== right) others += part;
        p[c] = part;
      }
      this.loss += (Math.log(total) - (logit - top)) / n;
      for (let c = at; c < at + classes; c++) {
        p[c] /= total;
        e[c] = p[c] / n;
      }
      e[right] = -others / total / n; // p - 1 without its rounding, which is all that is left of it once p is near 1
    }
  }

  /** Gradients of all weights. `send` carries an error back through layer l: δ of its output to dL/dh of its input. */
  backward(n: number, send: (l: number, n: number, into: Float32Array) => void): void {
    const { sizes, W } = this.net;
    for (let l = W.length - 1; l >= 0; l--) {
      const delta = this.delta[l + 1], out = sizes[l + 1];
      outer(delta, this.h[l], this.gradW[l], n, out, sizes[l]);
      sumRows(delta, n, this.gradB[l]);
      if (l === 0) break; // nothing is below the input
      const below = this.delta[l], h = this.h[l];
      send(l, n, below);
      for (let i = 0; i < n * sizes[l]; i++) if (!(h[i] > 0)) below[i] = 0; // ReLU's slope
    }
  }

  /** How layer l sends its error back, by the rule's `feedback`. */
  by(feedback: Feedback[]): (l: number, n: number, into: Float32Array) => void {
    const e = this.delta[this.delta.length - 1];
    return (l, n, into) => feedback[l].send(this.delta[l + 1], e, n, into);
  }
}

function highest(values: Float32Array, at: number, n: number): number {
  let top = -Infinity;
  for (let i = at; i < at + n; i++) if (values[i] > top) top = values[i];
  return top;
}

/** (n, out) to (out,): a bias's gradient. */
function sumRows(D: Float32Array, n: number, into: Float32Array): void {
  const out = into.length;
  for (let o = 0; o < out; o++) {
    let sum = 0;
    for (let s = 0; s < n; s++) sum += D[s * out + o];
    into[o] = sum;
  }
}
