/**
 * One synapse up close: its W, the feedback F that stands for it, and both among all of its layer.
 *
 * The picture is a cloud, F against W, a dot for every synapse. Under backprop it is a straight line; under random
 * feedback a round cloud; under PFA the cloud narrows to a line.
 */

import type { Frame, Ready } from "../contract";
import { font, Sheet } from "./canvas";
import { options, part, say } from "./dom";
import { runColour, type Palette } from "./looks";
import type { Synapse } from "./picking";

const SIDE = 168;
const MOST_DOTS = 900;
const ALIKE = 0.8; // the smaller of two sizes, as a share of the larger: from here on they are nearly the same

const MARKUP = `
  <div class="cloud"></div>
  <div><dl><dt class="w">W</dt><dd class="w-is"></dd><dt class="f">F</dt><dd class="f-is"></dd><dt>so</dt><dd class="so"></dd></dl>
    <div class="where">
      <label>Layer<select class="layer"></select></label>
      <label>From<input type="number" class="pre" min="0"></label>
      <label>To<input type="number" class="post" min="0"></label>
      <button type="button" class="quiet close">Close</button>
    </div></div>`;

export class SynapseView {
  private sheet: Sheet;
  private ready: Ready | null = null;
  private frame: Frame | null = null;
  private shown = 0;
  private look: Palette | null = null;
  private chosen: Synapse | null = null;

  constructor(private root: HTMLElement, private mark: (synapse: Synapse | null) => void) {
    root.innerHTML = MARKUP;
    this.sheet = new Sheet(part(root, ".cloud"));
    part(root, ".close").addEventListener("click", () => this.open(null));
    for (const field of root.querySelectorAll(".where :is(select, input)")) {
      field.addEventListener("change", () => this.read());
    }
  }

  setup(ready: Ready, shown: number, look: Palette): void {
    const same = this.ready?.sizes.join() === ready.sizes.join();
    [this.ready, this.shown, this.look] = [ready, shown, look];
    part(this.root, ".layer").innerHTML = options(
      ready.sizes.slice(1).map((_, l) => [String(l), l === ready.sizes.length - 2 ? "output" : `hidden ${l + 1}`]),
    );
    if (!same) this.open(null);
    else if (this.chosen) this.open(this.chosen);
  }

  /** Opens on a synapse; null closes. */
  open(synapse: Synapse | null): void {
    this.chosen = synapse;
    this.root.hidden = synapse === null;
    this.mark(synapse);
    if (!synapse || !this.ready) return;
    const top = this.isDirect ? this.ready.sizes.at(-1)! : this.ready.sizes[synapse.layer + 1];
    part<HTMLSelectElement>(this.root, ".layer").value = String(synapse.layer);
    for (const [name, value, total] of [["pre", synapse.pre, this.ready.sizes[synapse.layer]], ["post", synapse.post, top]] as const) {
      const field = part<HTMLInputElement>(this.root, `.${name}`);
      [field.value, field.max] = [String(value), String(total - 1)];
    }
    this.draw();
  }

  take(frame: Frame): void {
    this.frame = frame;
    if (this.chosen) this.draw();
  }

  private get isDirect(): boolean {
    return this.ready!.config.runners[this.shown].rule === "dfa";
  }

  /** The synapse that the fields name, within the layer's bounds. */
  private read(): void {
    const layer = Number(part<HTMLSelectElement>(this.root, ".layer").value);
    const field = (name: string, total: number) =>
      Math.max(0, Math.min(total - 1, Math.round(Number(part<HTMLInputElement>(this.root, name).value) || 0)));
    const { sizes } = this.ready!;
    this.open({ layer, pre: field(".pre", sizes[layer]), post: field(".post", sizes[layer + 1]), direct: false });
  }

  private draw(): void {
    const run = this.frame?.runs[this.shown];
    if (!this.ready || !this.chosen || !run?.weights || !this.look) return;
    const { layer, pre, post } = this.chosen;
    const { W, F } = run.weights[layer];
    const inputs = this.ready.sizes[layer];
    const at = post * inputs + pre;
    const name = (value: number) => `${value < 0 ? "−" : ""}${Math.abs(value).toFixed(3)}`;
    if (this.isDirect) {
      // D (classes, in) is not W's counterpart: the two have no shape in common.
      say(part(this.root, ".w-is"), this.chosen.direct ? "–" : name(W[at]));
      say(part(this.root, ".f-is"), this.chosen.direct ? name(F[at]) : "–");
      say(part(this.root, ".so"), "direct feedback has no partner for each forward synapse");
      this.sheet.fit(0, 0);
      return;
    }
    const below = layer > 0 ? "neuron" : "input";
    say(part(this.root, ".w-is"), `${name(W[at])}, from ${below} ${pre} up to neuron ${post}`);
    say(part(this.root, ".f-is"), layer === 0 ? "unused: no error goes below the input" : `${name(F[at])}, from neuron ${post} back to neuron ${pre}`);
    say(part(this.root, ".so"), layer === 0 ? "backprop would not use it either" : verdict(W[at], F[at]));
    if (layer > 0) this.cloud(W, F, at);
    else this.sheet.fit(0, 0); // no cloud of an F that carries nothing
  }

  private cloud(W: Float32Array, F: Float32Array, at: number): void {
    const look = this.look!;
    this.sheet.fit(SIDE, SIDE);
    const { pen } = this.sheet;
    this.sheet.clear();
    const [reachW, reachF] = [W, F].map((values) => values.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-9));
    const middle = SIDE / 2;
    const place = (k: number): [number, number] => [middle + (W[k] / reachW) * (middle - 8), middle - (F[k] / reachF) * (middle - 8)];
    pen.strokeStyle = look.line;
    pen.lineWidth = 1;
    pen.strokeRect(0.5, 0.5, SIDE - 1, SIDE - 1);
    pen.beginPath();
    pen.moveTo(middle, 0);
    pen.lineTo(middle, SIDE);
    pen.moveTo(0, middle);
    pen.lineTo(SIDE, middle);
    pen.stroke();
    pen.fillStyle = runColour(this.ready!.config.runners, this.shown, look);
    pen.globalAlpha = 0.5;
    const jump = Math.max(1, Math.floor(W.length / MOST_DOTS));
    for (let k = 0; k < W.length; k += jump) {
      const [x, y] = place(k);
      pen.fillRect(x - 1.1, y - 1.1, 2.2, 2.2);
    }
    pen.globalAlpha = 1;
    const [x, y] = place(at);
    pen.strokeStyle = look.ink;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x, y, 6, 0, 2 * Math.PI);
    pen.stroke();
    pen.fillStyle = look.muted;
    pen.font = font(11);
    pen.textAlign = "right";
    pen.textBaseline = "bottom";
    pen.fillText("W →", SIDE - 5, middle - 3);
    pen.textAlign = "left";
    pen.textBaseline = "top";
    pen.fillText("F ↑", middle + 4, 4);
  }
}

function verdict(w: number, f: number): string {
  if (w === f) return "an exact copy";
  if (Math.sign(w) !== Math.sign(f)) return "opposite signs";
  const [small, large] = [Math.abs(w), Math.abs(f)].sort((a, b) => a - b);
  return small >= ALIKE * large ? "the same sign, nearly the same size" : "the same sign, another size";
}
