/** torch.optim.SGD: the decay is part of the gradient, and so of the momentum. */

/** The optimiser's settings at a step. */
export interface Pace {
  lr: number;
  momentum: number;
  decay: number;
}

/** One step of `w` by its gradient `g`; `v` is its momentum, zero before the first. All of one length. */
export function sgd(w: Float32Array, g: Float32Array, v: Float32Array, { lr, momentum, decay }: Pace): void {
  for (let i = 0; i < w.length; i++) {
    const moved = momentum * v[i] + (g[i] + decay * w[i]);
    v[i] = moved;
    w[i] -= lr * moved;
  }
}
