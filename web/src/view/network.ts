/**
 * The network of one run, alive: synapses that glide to their trained values, activity forward, error back, and on the
 * water line between them the angle of each layer.
 *
 * Two canvases lie on one another. The lower one is drawn again only while something on it changes; the upper one holds
 * the moving dots.
 */

import type { Frame, Ready } from "../contract";
import { aim, between, direct, drawBundle, glide, trace, type Bundle } from "./bundle";
import { Sheet } from "./canvas";
import { layout, type Layout } from "./layout";
import { runColour, type Palette } from "./looks";
import { drawBackdrop, drawDials, drawErrors, drawNeurons, type Drawn } from "./network_parts";
import { nearestLine, type Synapse } from "./picking";
import { Pulses } from "./pulses";

/** When a reader saw something, for the browser's own tools and for tests. */
const FIRST = "first picture";

export class Network {
  private base: Sheet;
  private over: Sheet;
  private pulses = new Pulses();
  private ready: Ready | null = null;
  private frame: Frame | null = null;
  private place: Layout | null = null;
  private forward: Bundle[] = [];
  private back: Bundle[] = [];
  private angles: number[][] = []; // [runner][layer], as drawn
  private begun = false; // something has been drawn
  private stale = true; // the lower canvas must be drawn again
  private rested = false; // nothing is on the upper one
  shown = 0; // whose network is drawn
  marked: Synapse | null = null;

  constructor(
    private box: HTMLElement,
    private look: Palette,
  ) {
    this.base = new Sheet(box, "base");
    this.over = new Sheet(box, "over");
  }

  /** Another network, run, size or theme: everything is laid out again. */
  setup(ready: Ready, shown: number, look: Palette, scale: number): void {
    if (ready !== this.ready) this.frame = null; // of another network
    [this.ready, this.shown, this.look, this.stale] = [ready, shown, look, true];
    const { width, height } = this.box.getBoundingClientRect();
    if (width < 50 || height < 50) return; // not on the page yet
    this.base.fit(width, height);
    this.over.fit(width, height);
    this.place = layout(ready, ready.mids[shown], width, height, scale);
    const layers = ready.sizes.length - 1;
    const carrying = Array.from({ length: layers - 1 }, (_, i) => i + 1); // layer 0 sends nothing back
    this.forward = Array.from({ length: layers }, (_, l) => between(this.place!, l, false));
    this.back = carrying.map((l) => (this.isDirect ? direct(this.place!, l) : between(this.place!, l, true)));
    if (this.frame) this.take(this.frame, true);
  }

  /** A frame for the network that is set up. */
  take(frame: Frame, atOnce: boolean): void {
    this.frame = frame;
    const run = frame.runs[this.shown];
    if (!this.place || !run) return;
    if (run.weights) {
      for (const bundle of this.forward) aim(bundle, run.weights[bundle.layer].W, atOnce);
      for (const bundle of this.back) aim(bundle, run.weights[bundle.layer].F, atOnce);
      this.pulses.take(run, this.forward, this.back, this.isDirect);
    }
    if (atOnce || this.angles.length !== frame.runs.length) this.angles = frame.runs.map((one) => [...one.pathAngle]);
    this.stale = true;
  }

  /** One picture. `still`: no motion, by the reader's wish or because training is at rest. */
  tick(ms: number, still: boolean): void {
    if (!this.place || !this.frame || !this.ready) return;
    let moving = false;
    for (const bundle of [...this.forward, ...this.back]) moving = glide(bundle, still ? 1e4 : ms) || moving;
    moving = this.turnHands(still ? 1e4 : ms) || moving;
    if (this.stale || moving) this.drawBase();
    if (!this.begun) performance.mark(FIRST);
    this.begun = true;
    if (!performance.getEntriesByName(FIRST).length) performance.mark(FIRST);
    this.stale = false;
    if (still && this.rested) return;
    this.over.clear();
    this.rested = still;
    if (still) return;
    this.pulses.step(ms);
    this.pulses.draw(this.over.pen, this.place, this.look);
    const parts = this.drawn();
    for (let c = 0; c < this.place.columns.length; c++) {
      const { up, down } = this.pulses.glow(c, this.place.columns.length, this.isDirect);
      if (up > 0.02) drawNeurons(this.over.pen, parts, c, up);
      if (down > 0.02) drawErrors(this.over.pen, parts, c, down);
    }
  }

  /** The drawn synapse nearest to a point, within a finger's breadth. */
  at(x: number, y: number): Synapse | null {
    return nearestLine([...this.forward, ...this.back], x, y);
  }

  /** The strongest drawn synapse of the output layer: somewhere to begin to look. */
  strongest(): Synapse | null {
    const bundle = this.forward.at(-1);
    if (!bundle) return null;
    const sizes = Array.from(bundle.value, Math.abs);
    const k = sizes.indexOf(Math.max(...sizes));
    return { layer: bundle.layer, post: bundle.post[k], pre: bundle.pre[k], direct: false };
  }

  /** Marks a synapse, forward and back. */
  mark(synapse: Synapse | null): void {
    [this.marked, this.stale] = [synapse, true];
  }

  get isDirect(): boolean {
    return this.ready?.config.runners[this.shown]?.rule === "dfa";
  }

  private turnHands(ms: number): boolean {
    const share = 1 - Math.exp(-ms / 140);
    let moving = false;
    this.frame!.runs.forEach((run, i) => {
      run.pathAngle.forEach((to, l) => {
        const from = this.angles[i][l];
        const gap = to - from;
        if (!Number.isFinite(gap) || Math.abs(gap) < 0.05) {
          this.angles[i][l] = to;
        } else {
          this.angles[i][l] = from + gap * share;
          moving = true;
        }
      });
    });
    return moving;
  }

  private drawBase(): void {
    const { pen } = this.base;
    const parts = this.drawn();
    this.base.clear();
    drawBackdrop(pen, parts);
    for (const bundle of [...this.forward, ...this.back]) drawBundle(pen, bundle, this.look, this.place!.scale);
    if (this.marked) this.drawMarked(pen, this.marked);
    for (let c = 0; c < this.place!.columns.length; c++) {
      drawNeurons(pen, parts, c, null);
      drawErrors(pen, parts, c, null);
    }
    drawDials(pen, parts, this.angles);
  }

  private drawMarked(pen: CanvasRenderingContext2D, synapse: Synapse): void {
    pen.strokeStyle = this.look.ink;
    pen.lineWidth = 2.5 * this.place!.scale;
    for (const bundle of [...this.forward, ...this.back]) {
      for (let k = 0; k < bundle.size; k++) {
        const same = bundle.post[k] === synapse.post && bundle.pre[k] === synapse.pre;
        if (bundle.layer !== synapse.layer || !same || (bundle.back && this.isDirect !== synapse.direct)) continue;
        pen.beginPath();
        trace(pen, bundle, k);
        pen.stroke();
      }
    }
  }

  private drawn(): Drawn {
    return {
      place: this.place!, ready: this.ready!, frame: this.frame!, run: this.frame!.runs[this.shown], look: this.look,
      shown: this.shown, colours: this.ready!.config.runners.map((_, i) => runColour(this.ready!.config.runners, i, this.look)),
      isDirect: this.isDirect,
    };
  }
}
