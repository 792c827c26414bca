/** What is folded away: further rules in the race, the data, the network, the optimiser, the seed. */

import type { DatasetName, RuleName } from "../contract";
import type { Change } from "./controls";
import { build, options, part, say } from "./dom";
import { RULES, RULE_NAMES } from "./looks";
import { BATCHES, RATES, runner, suited, WIDTHS, withFading, type State } from "./state";

const RULE_OPTIONS: [string, string][] = [["", "none"], ...RULE_NAMES.map((name): [string, string] => [name, RULES[name].label])];
const DATA: [DatasetName, string][] = [
  ["digits", "Digits"], ["spirals", "Spirals"], ["moons", "Two moons"], ["circles", "Circles"], ["xor", "XOR"],
];

const same = (values: number[]): [string, string][] => values.map((value) => [String(value), String(value)]);

const MARKUP = `
  <div class="field"><label for="pfa-rule2">Second rule</label><select id="pfa-rule2">${options(RULE_OPTIONS)}</select></div>
  <div class="field"><label for="pfa-rule3">Third rule</label><select id="pfa-rule3">${options(RULE_OPTIONS)}</select></div>
  <div class="field"><label for="pfa-data">Data</label><select id="pfa-data">${options(DATA)}</select></div>
  <div class="field"><label for="pfa-depth">Hidden layers</label><select id="pfa-depth">${options(same([1, 2, 3, 4, 5, 6]))}</select></div>
  <div class="field"><label for="pfa-width">Neurons in each</label><select id="pfa-width"></select></div>
  <div class="field"><label for="pfa-lr">Learning rate<span class="slower"></span></label><select id="pfa-lr"></select></div>
  <div class="field"><label for="pfa-batch">Batch</label><select id="pfa-batch"></select></div>
  <div class="field"><label for="pfa-seed">Seed</label><input type="number" id="pfa-seed" min="0" max="9999" step="1"></div>`;

export class SettingsView {
  private root: HTMLElement;

  constructor(parent: HTMLElement, private change: Change) {
    this.root = build(parent, "div", "settings", MARKUP);
    this.on("#pfa-rule2", (s, text) => setRunner(s, 1, text));
    this.on("#pfa-rule3", (s, text) => setRunner(s, 2, text));
    this.on("#pfa-data", (s, text) => setData(s, text as DatasetName));
    this.on("#pfa-depth", (s, text) => {
      const hidden = Array.from({ length: Number(text) }, () => s.config.hidden[0]);
      s.config = withFading({ ...s.config, hidden });
    });
    this.on("#pfa-width", (s, text) => (s.config.hidden = s.config.hidden.map(() => Number(text))));
    this.on("#pfa-lr", (s, text) => (s.config = withFading({ ...s.config, lr: Number(text) })));
    this.on("#pfa-batch", (s, text) => (s.config.batch = Number(text)));
    this.on("#pfa-seed", (s, text) => (s.config.seed = Math.max(0, Math.min(9999, Math.round(Number(text) || 0)))));
  }

  show(state: State): void {
    const { config } = state;
    const set = (id: string, value: string) => (part<HTMLSelectElement | HTMLInputElement>(this.root, id).value = value);
    set("#pfa-rule2", config.runners[1]?.rule ?? "");
    set("#pfa-rule3", config.runners[2]?.rule ?? "");
    part<HTMLSelectElement>(this.root, "#pfa-rule3").disabled = config.runners.length < 2;
    set("#pfa-data", config.dataset);
    set("#pfa-depth", String(config.hidden.length));
    const even = config.hidden.every((width) => width === config.hidden[0]);
    this.values("#pfa-width", WIDTHS, config.hidden[0], even ? undefined : config.hidden.join(", "));
    this.values("#pfa-lr", RATES, config.lr);
    say(part(this.root, ".slower"), config.runners.some(({ rule }) => rule === "dfa") ? " (DFA: ⅕)" : "");
    this.values("#pfa-batch", BATCHES, config.batch);
    set("#pfa-seed", String(config.seed));
  }

  /** Fills a list of numbers; a value that came by link and is not in it is added. */
  private values(id: string, usual: number[], now: number, label = String(now)): void {
    const list = part<HTMLSelectElement>(this.root, id);
    const all = usual.includes(now) ? usual : [...usual, now].sort((a, b) => a - b);
    const markup = options(all.map((value) => [String(value), value === now ? label : String(value)]));
    if (list.dataset.markup !== markup) list.innerHTML = markup;
    [list.dataset.markup, list.value] = [markup, String(now)];
  }

  private on(id: string, set: (state: State, text: string) => void): void {
    const field = part<HTMLSelectElement | HTMLInputElement>(this.root, id);
    field.addEventListener("change", () => this.change((s) => set(s, field.value), "restart"));
  }
}

function setRunner(state: State, place: number, text: string): void {
  const { runners } = state.config;
  if (text) runners[Math.min(place, runners.length)] = runner(text as RuleName);
  else runners.splice(place, 1);
  state.shown = Math.min(state.shown, runners.length - 1);
}

/** Other data; between points in the plane and digits, a network that suits them. */
function setData(state: State, dataset: DatasetName): void {
  const same = (dataset === "digits") === (state.config.dataset === "digits");
  state.config = same ? withFading({ ...state.config, dataset }) : suited(state.config, dataset);
  [state.point, state.sample] = [null, 0];
}
