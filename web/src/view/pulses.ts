/**
 * Activity that runs forward and error that comes back: dots along the synapses that carry most of both just now.
 *
 * One round: the layers light up from left to right, the output sees its error, and the error comes back from right to
 * left over the feedback path. A round takes the same time whatever the speed of training: it explains, it does not
 * count.
 */

import type { RunFrame } from "../contract";
import { along, type Bundle } from "./bundle";
import type { Layout } from "./layout";
import type { Palette } from "./looks";

const ROUND_MS = 3200;
const CARRIERS = 12; // dots per layer and direction
const FORWARD = 0.46; // the share of a round until the output is reached
const REST = 0.06; // in which the output compares its answer with the truth

interface Carrier {
  bundle: Bundle;
  line: number;
  size: number; // 0 to 1
  plus: boolean;
}

export class Pulses {
  private run: RunFrame | null = null;
  private forward: Bundle[][] = []; // [leg]: the layers
  private back: Bundle[][] = []; // [leg], in the order in which the error arrives
  private isDirect = false;
  private carriers: Carrier[] = []; // the dots of the present leg
  private leg = ""; // which one that is
  private phase = 0;

  /** The newest activity and error. A leg's dots are chosen when it begins, so that none changes its way half way. */
  take(run: RunFrame, forward: Bundle[], back: Bundle[], isDirect: boolean): void {
    [this.run, this.isDirect] = [run, isDirect];
    this.forward = forward.map((bundle) => [bundle]);
    const stops = [...back].reverse(); // from the output down
    this.back = isDirect ? [stops] : stops.map((bundle) => [bundle]); // direct feedback reaches all layers at once
  }

  /** The share of the round that is over, for neurons that light up: forward then back. */
  step(ms: number): void {
    this.phase = (this.phase + ms / ROUND_MS) % 1;
  }

  /** How far column `c` is lit by the forward wave, and by the backward wave: 0 to 1. */
  glow(c: number, columns: number, isDirect: boolean): { up: number; down: number } {
    const up = bump(this.phase - (FORWARD * c) / (columns - 1));
    const way = 1 - FORWARD - 2 * REST;
    const stop = isDirect ? 1 : (columns - 1 - c) / Math.max(1, columns - 2);
    const from = c === columns - 1 ? FORWARD + REST : FORWARD + REST + way * stop;
    return { up, down: c === 0 ? 0 : bump(this.phase - from) };
  }

  draw(pen: CanvasRenderingContext2D, layout: Layout, look: Palette): void {
    this.dots(pen, this.forward, this.phase / FORWARD, layout, look);
    this.dots(pen, this.back, (this.phase - FORWARD - REST) / (1 - FORWARD - 2 * REST), layout, look);
  }

  /** `progress`: 0 to 1 over all the legs of this way. */
  private dots(pen: CanvasRenderingContext2D, legs: Bundle[][], progress: number, layout: Layout, look: Palette): void {
    if (progress < 0 || progress >= 1 || legs.length === 0) return;
    const leg = Math.floor(progress * legs.length);
    this.begin(legs[leg], `${legs === this.back} ${leg}`);
    const t = smooth(progress * legs.length - leg);
    for (const carrier of this.carriers) {
      const radius = (1.4 + 2.6 * carrier.size) * layout.scale;
      pen.fillStyle = carrier.plus ? look.plus : look.minus;
      for (let tail = 3; tail >= 0; tail--) {
        const at = t - tail * 0.035;
        if (at < 0) continue;
        const [x, y] = along(carrier.bundle, carrier.line, at);
        pen.globalAlpha = tail === 0 ? 1 : 0.34 - 0.09 * tail;
        pen.beginPath();
        if (carrier.bundle.back) pen.rect(x - radius * 0.85, y - radius * 0.85, radius * 1.7, radius * 1.7);
        else pen.arc(x, y, radius, 0, 2 * Math.PI);
        pen.fill();
      }
    }
    pen.globalAlpha = 1;
  }

  /** Chooses a leg's dots: the lines that carry most of the shown sample's activity, or of its error. */
  private begin(bundles: Bundle[], leg: string): void {
    const stays = leg === this.leg && this.carriers.every(({ bundle }) => bundles.includes(bundle));
    if (stays || !this.run) return;
    const { activations, errors } = this.run;
    this.leg = leg;
    this.carriers = bundles.flatMap((bundle) => {
      if (!bundle.back) return strongest(bundle, activations[bundle.layer], bundle.pre);
      return strongest(bundle, this.isDirect ? errors.at(-1) : errors[bundle.layer + 1], bundle.post);
    });
  }
}

/** The lines of a bundle with the largest |weight · signal|; `at`: the neuron whose signal a line carries. */
function strongest(bundle: Bundle, signal: Float32Array | undefined, at: Int32Array): Carrier[] {
  if (!signal || signal.length === 0) return [];
  const flow = Float32Array.from({ length: bundle.size }, (_, k) => bundle.target[k] * signal[at[k]]); // (n,)
  const order = Array.from(flow.keys()).sort((a, b) => Math.abs(flow[b]) - Math.abs(flow[a]));
  const most = Math.abs(flow[order[0] ?? 0] ?? 0);
  if (!(most > 0)) return [];
  return order.slice(0, CARRIERS).filter((k) => Math.abs(flow[k]) > 0.05 * most).map((line) => ({
    bundle, line, size: Math.abs(flow[line]) / most, plus: flow[line] > 0,
  }));
}

function bump(late: number): number {
  return late < 0 || late > 0.12 ? 0 : Math.sin((Math.PI * late) / 0.12);
}

function smooth(t: number): number {
  return t * t * (3 - 2 * t);
}
