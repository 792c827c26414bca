/** Rule, speed, ratio: the three that everyone sees. All else is folded away in settings.ts. */

import { build, part, say } from "./dom";
import { palette, RULES, RULE_NAMES, runColour } from "./looks";
import { markSvg } from "./marks";
import { SettingsView } from "./settings";
import { limitAngle, RATIOS, ratioRunner, runner, SPEEDS, type State } from "./state";

/** What a control may do: change the state, and say whether the training has to begin again. */
export type Change = (change: (state: State) => void, what: "restart" | "speed" | "view") => void;

const MARKUP = `
  <fieldset class="field"><legend>How the error comes back</legend><div class="rules"></div></fieldset>
  <div class="field speed"><label for="pfa-speed">Speed: <output class="speed-is"></output></label>
    <input type="range" id="pfa-speed" min="0" max="${SPEEDS.length - 1}" step="1"></div>
  <div class="field ratio"><label for="pfa-ratio">Ratio: <output class="ratio-is"></output></label>
    <input type="range" id="pfa-ratio" min="0" max="${RATIOS.length - 1}" step="1"></div>
  <details class="more"><summary>More</summary></details>`;

export class Controls {
  readonly root: HTMLElement;
  private settings: SettingsView;

  constructor(parent: HTMLElement, private change: Change) {
    this.root = build(parent, "div", "bar", MARKUP);
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
    const dimension = which === null ? "for PFA only" : `${midsPerNeuron(value)}, limit\u00a0${limitAngle(value).toFixed(1)}°`;
    say(part(this.root, ".ratio-is"), dimension);
    ratio.setAttribute("aria-valuetext", which === null ? dimension : `${midsPerNeuron(value)}, limit ${limitAngle(value).toFixed(1)} degrees`);
    const look = palette(this.root.closest(".dark") !== null);
    for (const label of this.root.querySelectorAll<HTMLElement>("label.rule")) {
      const name = part<HTMLInputElement>(label, "input").value as keyof typeof RULES;
      part<SVGElement>(label, "svg").style.color = runColour([runner(name)], 0, look);
    }
    this.settings.show(state);
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

function midsPerNeuron(ratio: number): string {
  return `${ratio} mid ${ratio === 1 ? "neuron" : "neurons"} per neuron`;
}

/** The place of the value nearest to `value`; a link may name one that is not on the slider. */
function nearest(values: number[], value: number): number {
  if (value === Infinity) return values.indexOf(Infinity);
  const far = (one: number) => (one === Infinity ? Infinity : Math.abs(Math.log(one / value)));
  return values.reduce((best, one, k) => (far(one) < far(values[best]) ? k : best), 0);
}
