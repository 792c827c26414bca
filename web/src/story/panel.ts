/** The story's strip: five numbers, one sentence, one question; after the run, what it showed. */

import type { Frame, Ready } from "../contract";
import type { Change } from "../view/controls";
import { build, part, say } from "../view/dom";
import type { State } from "../view/state";
import type { Transport } from "../view/transport";
import { presetState, seenAt, STEPS } from "./steps";

const IDLE = `
  <div class="say"><h2>No synapse can copy another. So how does an error find its way back?</h2></div>
  <button type="button" class="main begin">The story, in five steps</button>`;

const MARKUP = `
  <div class="say"><div class="top"><div class="steps" role="group" aria-label="Steps of the story"></div><h2></h2></div><p></p></div>
  <div class="ask"><p class="question" id="pfa-question"></p>
    <div class="choices" role="group" aria-labelledby="pfa-question"></div>
    <div class="progress" aria-hidden="true"><i></i></div></div>
  <div class="end"><p class="verdict" role="status"></p><p class="after"><button type="button" class="main next"></button></p></div>`;

export class StoryPanel {
  private root: HTMLElement;
  private built = -1; // the step whose markup stands

  constructor(parent: HTMLElement, private change: Change, private transport: Transport & { play(): void; pause(): void; seek(step: number): void }) {
    this.root = build(parent, "section", "story", "");
    this.root.setAttribute("aria-label", "Story");
  }

  /** Whether the state trains what its story step asks for. */
  isPreset(state: State): boolean {
    return JSON.stringify(STEPS[state.story - 1].config) === JSON.stringify(state.config);
  }

  show(state: State, frame: Frame | null, ready: Ready | null): void {
    if (state.story !== this.built) this.build(state.story);
    if (!state.story) return;
    const step = STEPS[state.story - 1];
    for (const [k, button] of [...this.root.querySelectorAll(".choices button")].entries()) {
      button.setAttribute("aria-pressed", String(k === state.answer));
    }
    const seen = frame && ready && state.answer !== null ? seenAt(step, ready, frame) : null;
    const share = state.answer === null ? 0 : Math.min(1, (frame?.last ?? 0) / step.until);
    part<HTMLElement>(this.root, ".progress i").style.transform = `scaleX(${share.toFixed(3)})`;
    part<HTMLElement>(this.root, ".progress").hidden = state.answer === null || seen !== null;
    part<HTMLElement>(this.root, ".after").hidden = seen === null;
    const verdict = part(this.root, ".verdict");
    verdict.hidden = seen === null;
    if (!seen) return;
    const { right, told } = step.judge(seen);
    const mine = right === state.answer;
    const word = mine ? "Yes." : `Not quite. ${sentence(step.choices[right])}`;
    if (verdict.dataset.told !== word + told) {
      verdict.dataset.told = word + told;
      verdict.innerHTML = `<b class="${mine ? "" : "wrong"}">${word}</b> ${told}`;
    }
    // The pictures come to rest on the step that the words are about.
    const stop = frame!.playing && !this.stopped;
    this.stopped = true;
    if (stop) this.transport.seek(step.until);
  }

  private stopped = false;

  private build(story: number): void {
    this.built = story;
    this.stopped = false;
    this.root.classList.toggle("idle", story === 0);
    this.root.innerHTML = story ? MARKUP : IDLE;
    if (!story) {
      part(this.root, ".begin").addEventListener("click", (event) => this.open(1, event));
      return;
    }
    const step = STEPS[story - 1];
    STEPS.forEach((one, k) => {
      const button = build(part(this.root, ".steps"), "button", "", String(k + 1)) as HTMLButtonElement;
      [button.type, button.title] = ["button", one.name];
      button.setAttribute("aria-label", `Step ${k + 1}: ${one.name}`);
      if (k + 1 === story) button.setAttribute("aria-current", "step");
      button.addEventListener("click", (event) => this.open(k + 1, event));
    });
    const leave = build(part(this.root, ".steps"), "button", "quiet leave", "×") as HTMLButtonElement;
    [leave.type, leave.title] = ["button", "Leave the story"];
    leave.setAttribute("aria-label", "Leave the story");
    leave.addEventListener("click", () => this.change((s) => ([s.story, s.answer] = [0, null]), "view"));
    say(part(this.root, "h2"), step.name);
    say(part(this.root, ".say p"), step.say);
    say(part(this.root, ".question"), step.question);
    step.choices.forEach((choice, k) => {
      const button = build(part(this.root, ".choices"), "button", "", choice) as HTMLButtonElement;
      button.type = "button";
      button.addEventListener("click", () => this.answer(k));
    });
    const next = part(this.root, ".next");
    say(next, story < STEPS.length ? `Next: ${STEPS[story].name}` : "Now explore by yourself");
    next.addEventListener("click", (event) => {
      if (story < STEPS.length) this.open(story + 1, event);
      else this.change((s) => ([s.story, s.answer] = [0, null]), "view");
    });
  }

  /** Sets the step's preset up; it waits for a prediction. */
  private open(story: number, by: MouseEvent): void {
    this.transport.pause();
    this.change((s) => Object.assign(s, presetState(story), { theme: s.theme, lecture: s.lecture }), "restart");
    // Who came by keyboard goes on from the choices; after a mouse the space bar is free to play.
    if (by.detail === 0) part(this.root, ".choices button").focus({ preventScroll: true });
  }

  /** A prediction: from the start, see what comes. */
  private answer(choice: number): void {
    this.stopped = false;
    this.change((s) => (s.answer = choice), "view");
    this.transport.reset();
    this.transport.play();
  }
}

/** "Yes, it comes close" as a sentence of its own: "It comes close." */
function sentence(choice: string): string {
  const plain = choice.replace(/^(Yes|No), /, "");
  return `${plain.charAt(0).toUpperCase()}${plain.slice(1)}.`;
}
