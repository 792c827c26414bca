/** Play, one step, back to the start: beside the time slider, so that they are in reach wherever the page is scrolled. */

import { build, part } from "./dom";

export interface Transport {
  toggle(): void;
  step(count: number): void;
  reset(): void;
}

const ICONS = {
  play: '<svg viewBox="0 0 18 18" aria-hidden="true"><path d="M4 1.5v15l12.5-7.5z"/></svg>',
  pause: '<svg viewBox="0 0 18 18" aria-hidden="true"><path d="M3 2h4.2v14H3zM10.8 2H15v14h-4.2z"/></svg>',
  step: '<svg viewBox="0 0 18 18" aria-hidden="true"><path d="M2 2v14l9-7zM12.5 2H16v14h-3.5z"/></svg>',
  reset: '<svg viewBox="0 0 18 18" aria-hidden="true"><path d="M9 2a7 7 0 1 1-6.6 4.7l2 .7A4.9 4.9 0 1 0 9 4.1V7L4 3.2 9 0z"/></svg>',
};

const MARKUP = `
  <button type="button" class="main play" title="Space">${ICONS.pause}</button>
  <button type="button" class="small step" aria-label="One step" title="One step: right arrow">${ICONS.step}</button>
  <button type="button" class="small reset" aria-label="Back to the start" title="Back to the start">${ICONS.reset}</button>`;

export class TransportButtons {
  private root: HTMLElement;
  private playing: boolean | null = null;

  constructor(parent: HTMLElement, transport: Transport) {
    this.root = build(parent, "div", "transport", MARKUP);
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", "Training");
    part(this.root, ".play").addEventListener("click", () => transport.toggle());
    part(this.root, ".step").addEventListener("click", () => transport.step(1));
    part(this.root, ".reset").addEventListener("click", () => transport.reset());
  }

  /** Play becomes pause. */
  playingIs(playing: boolean): void {
    if (playing === this.playing) return;
    this.playing = playing;
    const button = part<HTMLButtonElement>(this.root, ".play");
    button.innerHTML = playing ? ICONS.pause : ICONS.play;
    button.setAttribute("aria-label", playing ? "Pause" : "Play");
    button.title = `${playing ? "Pause" : "Play"}: space bar`;
  }
}
