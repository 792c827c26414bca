/**
 * A state as the part of an address after #, and back: what a lecturer sends to a class.
 *
 *     #rules=fa,pfa:40&data=spirals&hidden=16,16&seed=3&at=250
 *
 * What has its usual value for the data, or for the story's step, is left out. A value that cannot be is left at its usual one, and said.
 */

import { LIMITS, type Config, type DatasetName, type RuleName, type Runner, type SignKind } from "../contract";
import { RULES } from "./looks";
import { startState, type ChartName, type State, type Theme } from "./state";
import { presetState } from "../story/steps";

const DATA: DatasetName[] = ["digits", "moons", "circles", "xor", "spirals"];
const KINDS: SignKind[] = ["uniform", "fixed", "batch"];
const STEPS: [number, number] = [0, 1e7];

type Field = { key: string; write: (s: State) => string; read: (s: State, text: string) => void };

const number = (key: string, get: (s: State) => number, set: (s: State, v: number) => void, limits: [number, number], whole = false): Field => ({
  key, write: (s) => String(get(s)), read: (s, text) => set(s, real(text, limits, whole)),
});

const choice = <T extends string>(key: string, options: T[], get: (s: State) => T, set: (s: State, v: T) => void): Field => ({
  key,
  write: get,
  read: (s, text) => {
    if (!options.includes(text as T)) throw new Error(`one of ${options.join(", ")}`);
    set(s, text as T);
  },
});

const setting = (key: string, name: keyof Config & ("lr" | "momentum" | "weightDecay" | "strongDecay" | "strongSteps" | "batch" | "seed"), whole = false): Field =>
  number(key, (s) => s.config[name], (s, v) => (s.config[name] = v), LIMITS[name], whole);

const FIELDS: Field[] = [
  {
    key: "rules",
    write: (s) => s.config.runners.map(runnerText).join(","),
    read: (s, text) => (s.config.runners = runners(text)),
  },
  choice("data", DATA, (s) => s.config.dataset, (s, v) => (s.config.dataset = v)),
  {
    key: "hidden",
    write: (s) => s.config.hidden.join(","),
    read: (s, text) => {
      const sizes = text.split(",").map((one) => real(one, LIMITS.width, true));
      if (sizes.length > LIMITS.depth[1]) throw new Error(`at most ${LIMITS.depth[1]} hidden layers`);
      s.config.hidden = sizes;
    },
  },
  setting("lr", "lr"), setting("momentum", "momentum"), setting("decay", "weightDecay"), setting("strong", "strongDecay"),
  setting("strongsteps", "strongSteps", true), setting("batch", "batch", true), setting("seed", "seed", true),
  {
    key: "speed",
    write: (s) => (s.speed === Infinity ? "max" : String(s.speed)),
    read: (s, text) => (s.speed = text === "max" ? Infinity : real(text, [0.2, 1e5], false)),
  },
  number("show", (s) => s.shown + 1, (s, v) => (s.shown = v - 1), LIMITS.runners, true),
  choice<ChartName>("chart", ["gradient", "path", "loss"], (s) => s.chart, (s, v) => (s.chart = v)),
  number("sample", (s) => s.sample, (s, v) => (s.sample = v), [0, 1e6], true),
  {
    key: "point",
    write: (s) => s.point?.map((v) => v.toFixed(3)).join(",") ?? "",
    read: (s, text) => {
      const [x, y, ...rest] = text.split(",").map((one) => real(one, [-2, 2], false));
      if (y === undefined || rest.length) throw new Error("two numbers with a comma between them");
      s.point = [x, y];
    },
  },
  number("story", (s) => s.story, (s, v) => (s.story = v), [0, 5], true),
  choice<Theme>("theme", ["auto", "light", "dark"], (s) => s.theme, (s, v) => (s.theme = v)),
  choice("lecture", ["no", "yes"], (s) => (s.lecture ? "yes" : "no"), (s, v) => (s.lecture = v === "yes")),
  {
    key: "at",
    write: (s) => (s.at === null ? "play" : String(s.at)),
    read: (s, text) => (s.at = text === "play" ? null : real(text, STEPS, true)),
  },
];

/** After an answer a link leads back to the question: whoever opens it should not see what came true. */
export function toLink(state: State): string {
  const usual = usualFor(state.story, state.config.dataset);
  const told = FIELDS.filter(({ key, write }) => {
    if (key === "story") return state.story > 0;
    if (key === "at" && state.story && state.answer !== null) return false;
    if (key === "data" && !state.story) return state.config.dataset !== "digits";
    return write(state) !== write(usual);
  });
  return told.map((field) => `${field.key}=${field.write(state)}`).join("&");
}

/** The state that a link means, and what in it could not be read. */
export function fromLink(hash: string): { state: State; complaints: string[] } {
  const told = (key: string) => new RegExp(`(?:^|[#&])${key}=([^&]*)`).exec(hash)?.[1] ?? "";
  const data = told("data") as DatasetName;
  const state = usualFor(/^[1-5]$/.test(told("story")) ? Number(told("story")) : 0, DATA.includes(data) ? data : "digits");
  const complaints: string[] = [];
  for (const part of hash.replace(/^#/, "").split("&").filter(Boolean)) {
    const [key, text = ""] = part.split("=").map(decodeURIComponent);
    const field = FIELDS.find((one) => one.key === key);
    if (!field) {
      complaints.push(`The link's "${key}" is not a setting; it is ignored.`);
      continue;
    }
    try {
      field.read(state, text);
    } catch (why) {
      complaints.push(`The link says ${key}=${text}, but it should be: ${(why as Error).message}. The usual value is used.`);
    }
  }
  state.shown = Math.min(state.shown, state.config.runners.length - 1);
  return { state, complaints };
}

/** What a link that says no more means. */
function usualFor(story: number, dataset: DatasetName): State {
  return story ? presetState(story) : startState(dataset);
}

function runnerText(one: Runner): string {
  if (one.rule === "pfa") return `pfa:${one.ratio}`;
  return one.rule === "sf" && one.kind !== "uniform" ? `sf:${one.kind}` : one.rule;
}

function runners(text: string): Runner[] {
  const parts = text.split(",");
  if (parts.length > LIMITS.runners[1]) throw new Error(`at most ${LIMITS.runners[1]} rules`);
  return parts.map((part) => {
    const [rule, knob] = part.split(":");
    if (!(rule in RULES)) throw new Error(`rules out of ${Object.keys(RULES).join(", ")}`);
    const one: Runner = { rule: rule as RuleName, ratio: 10, kind: "uniform" };
    if (knob === undefined) return one;
    if (one.rule === "pfa") one.ratio = real(knob, LIMITS.ratio, false);
    else if (one.rule === "sf" && KINDS.includes(knob as SignKind)) one.kind = knob as SignKind;
    else throw new Error("pfa:RATIO, sf:uniform, sf:fixed, sf:batch, or a rule's name alone");
    return one;
  });
}

function real(text: string, [low, high]: [number, number], whole: boolean): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < low || value > high || (whole && !Number.isInteger(value))) {
    throw new Error(`a ${whole ? "whole " : ""}number from ${low} to ${high}`);
  }
  return value;
}
