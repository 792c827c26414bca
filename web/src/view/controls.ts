/** Rule, speed, feedback dimension: the three that everyone sees. All else is folded away in settings.ts. */

import { build, part, say } from "./dom";
import { palette, RULES, RULE_NAMES, runColour } from "./looks";
import { markSvg } from "./marks";
import { SettingsView } from "./settings";
import { limitAngle, RATIOS, ratioRunner, runner, SPEEDS, type State } from "./state";

/** What a control may do: change the state, and say whether the training has to begin again. */
export type Change = (change: (state: State) => void, what: "restart" | "speed" | "view") => void;

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
  <div class="transport" role="group" aria-label="Training">
    <button type="button" class="main play" title="Space">${ICONS.pause}</button>
    <button type="button" class="small step" aria-label="One step" title="One step: right arrow">${ICONS.step}</button>
    <button type="button" class="small reset" aria-label="Back to the start" title="Back to the start">${ICONS.reset}</button>
  </div>
  <fieldset class="field"><legend>How the error comes back</legend><div class="rules"></div></fieldset>
  <div class="field speed"><label for="pfa-speed">Speed: <output class="speed-is"></output></label>
    <input type="range" id="pfa-speed" min="0" max="${SPEEDS.length - 1}" step="1"></div>
  <div class="field ratio"><label for="pfa-ratio">Feedback dimension: <output class="ratio-is"></output></label>
    <input type="range" id="pfa-ratio" min="0" max="${RATIOS.length - 1}" step="1"></div>
  <details class="more"><summary>More</summary></details>`;

export class Controls {
  readonly root: HTMLElement;
  private settings: SettingsView;
  private playing: boolean | null = null;

  constructor(parent: HTMLElement, private change: Change, transport: Transport) {
    this.root = build(parent, "div", "bar", MARKUP);
    part(this.root, ".play").addEventListener("click", () => transport.toggle());
    part(this.root, ".step").addEventListener("click", () => transport.step(1));
    part(this.root, ".reset").addEventListener("click", () => transport.reset());
    for (const rule of RULE_NAMES) this.addRule(rule);
    const speed = part<HTMLInputElement>(this.root, "#pfa-speed");
    speed.addEventListener("input", () => change((s) => (s.speed = SPEEDS[Number(speed.value)]), "speed"));
    const ratio = part<HTMLInputElement>(this.root, "#pfa-ratio");
    ratio.addEventListener("input", () => {
      change((s) => (s.config.runners[ratioRunner(s)!].ratio = RATIOS[Number(ratio.value)]), "restart");
    });
    this.settings = new SettingsView(part(this.root, ".more"), change);
  }

  show(state: State): void {
    const { runners } = state.config;
    const rule = runners[state.shown].rule;
    part<HTMLInputElement>(this.root, `input[value="${rule}"]`).checked = true;
    const speed = part<HTMLInputElement>(this.root, "#pfa-speed");
    speed.value = String(nearest(SPEEDS, state.speed));
    const said = state.speed === Infinity ? "as fast as it can" : `${state.speed} ${state.speed === 1 ? "step" : "steps"} a second`;
    say(part(this.root, ".speed-is"), said);
    speed.setAttribute("aria-valuetext", said);
    const which = ratioRunner(state);
    const ratio = part<HTMLInputElement>(this.root, "#pfa-ratio");
    ratio.disabled = which === null;
    const value = which === null ? 10 : runners[which].ratio;
    ratio.value = String(nearest(RATIOS, value));
    const dimension = which === null ? "for PFA only" : `×${value}, limit ${limitAngle(value).toFixed(1)}°`;
    say(part(this.root, ".ratio-is"), dimension);
    ratio.setAttribute("aria-valuetext", which === null ? dimension : `${value} mid neurons per neuron, limit ${limitAngle(value).toFixed(1)} degrees`);
    const look = palette(this.root.closest(".dark") !== null);
    for (const label of this.root.querySelectorAll<HTMLElement>("label.rule")) {
      const name = part<HTMLInputElement>(label, "input").value as keyof typeof RULES;
      part<SVGElement>(label, "svg").style.color = runColour([runner(name)], 0, look);
    }
    this.settings.show(state);
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

  private addRule(rule: keyof typeof RULES): void {
    const { label, long } = RULES[rule];
    const one = build(
      part(this.root, ".rules"), "label", "rule",
      `<input type="radio" name="pfa-rule" value="${rule}">${markSvg(rule)}<span>${label}</span><span class="away">: ${long}</span>`,
    );
    one.title = long;
    part(one, "input").addEventListener("change", () => {
      this.change((s) => (s.config.runners[s.shown] = runner(rule)), "restart");
    });
  }
}

/** The place of the value nearest to `value`; a link may name one that is not on the slider. */
function nearest(values: number[], value: number): number {
  if (value === Infinity) return values.indexOf(Infinity);
  const far = (one: number) => (one === Infinity ? Infinity : Math.abs(Math.log(one / value)));
  return values.reduce((best, one, k) => (far(one) < far(values[best]) ? k : best), 0);
}
