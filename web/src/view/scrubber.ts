/** Time as a slider: where training is, how far it has been, and back to any step in between. */

import type { Frame } from "../contract";
import { build, part, say } from "./dom";
import { TransportButtons, type Transport } from "./transport";

const MARKUP = `
  <label for="pfa-time" aria-hidden="true">Step</label>
  <input type="range" id="pfa-time" aria-label="Step" min="0" max="1" step="1" value="0">
  <output class="is" for="pfa-time"><span class="at"></span><span class="rest"></span></output>`;

export class Scrubber {
  readonly buttons: TransportButtons;
  private slider: HTMLInputElement;
  private wanted: number | null = null; // a step that was asked for and has not come yet
  private held = false;

  constructor(parent: HTMLElement, private seek: (step: number) => void, transport: Transport) {
    const root = build(parent, "div", "time", "");
    this.buttons = new TransportButtons(root, transport);
    root.insertAdjacentHTML("beforeend", MARKUP);
    this.slider = part(root, "input");
    this.output = part(root, "output");
    this.slider.addEventListener("input", () => this.ask(Number(this.slider.value)));
    this.slider.addEventListener("pointerdown", () => (this.held = true));
    for (const done of ["pointerup", "pointercancel", "blur"]) {
      this.slider.addEventListener(done, () => (this.held = false));
    }
  }

  private output: HTMLElement;
  private asked: number | null = null; // sent to the trainer, not yet answered

  show(frame: Frame): void {
    if (frame.step === this.asked) this.asked = null;
    if (this.asked === null && this.wanted !== null) this.send();
    this.slider.max = String(Math.max(1, frame.last));
    if (!this.held && this.asked === null) this.slider.value = String(frame.step);
    const { step, epoch, speed } = frame;
    const reached = speed > 0 ? ` · ${Math.round(speed)} steps/s` : "";
    say(part(this.output, ".at"), step.toLocaleString("en"));
    say(part(this.output, ".rest"), ` · epoch ${epoch.toFixed(1)}${reached}`);
    this.slider.setAttribute("aria-valuetext", `step ${step} of ${frame.last}`);
  }

  /** Another training: nothing is under way any more. */
  forget(): void {
    [this.wanted, this.asked] = [null, null];
  }

  /** One seek at a time: a drag asks for more steps than can be computed, and only the last one matters. */
  private ask(step: number): void {
    this.wanted = step;
    if (this.asked === null) this.send();
  }

  private send(): void {
    [this.asked, this.wanted] = [this.wanted, null];
    this.seek(this.asked!);
  }
}
