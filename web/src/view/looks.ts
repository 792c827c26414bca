/**
 * How things look: the rules' colours and names, and the colours of everything else in light and in dark.
 *
 * The rules' colours are the package's own (pfa_edu/rules/*.py; Okabe and Ito's palette, safe for the colour-blind). A
 * browser test compares them. Black cannot be seen on a dark page, so backprop turns white there.
 */

import type { RuleName, Runner } from "../contract";

export interface RuleLook {
  label: string;
  long: string;
  colour: string;
  /** What stands in the place of W on the way back. */
  feedback: string;
  /** One line for a first-time visitor. */
  idea: string;
}

export const RULES: Record<RuleName, RuleLook> = {
  bp: {
    label: "BP", long: "Backpropagation", colour: "#000000", feedback: "F = W",
    idea: "The error travels back through an exact copy of every forward synapse.",
  },
  fa: {
    label: "FA", long: "Feedback alignment", colour: "#E69F00", feedback: "F random, fixed",
    idea: "The error travels back through random synapses that never change.",
  },
  dfa: {
    label: "DFA", long: "Direct feedback alignment", colour: "#56B4E9", feedback: "D random, fixed",
    idea: "The output's error goes straight to every layer, through fixed random synapses. A fifth of the learning rate: at more, deep networks diverge.",
  },
  sf: {
    label: "SF", long: "Sign symmetry", colour: "#009E73", feedback: "F = s · sign(W)",
    idea: "The feedback synapses copy the signs of the forward synapses, but not their sizes.",
  },
  kp: {
    label: "KP", long: "Kolen-Pollack", colour: "#CC79A7", feedback: "F learns as W does",
    idea: "Each feedback synapse gets the same changes as its forward partner, so the pair grows alike.",
  },
  pfa: {
    label: "PFA", long: "Product feedback alignment", colour: "#D55E00", feedback: "F = B R",
    idea: "The error travels back through extra neurons: B is random and fixed, R learns. No two synapses are copies.",
  },
  "pfa-o": {
    label: "PFA-o", long: "PFA with orthogonal B", colour: "#0072B2", feedback: "F = B R, B orthogonal",
    idea: "PFA with one extra neuron for each neuron of the layer above, and B orthogonal: the angle can reach zero.",
  },
};

export const RULE_NAMES = Object.keys(RULES) as RuleName[];

/** "PFA ratio 10", or "PFA" where no other run in the race is PFA: a name that tells the runs of one race apart. */
export function runName(runners: Runner[], i: number): string {
  const one = runners[i];
  const twins = runners.filter((other) => other.rule === one.rule).length > 1;
  if (!twins) return RULES[one.rule].label;
  if (one.rule === "pfa") return `PFA ratio ${one.ratio}`;
  if (one.rule === "sf") return `SF ${one.kind}`;
  return `${RULES[one.rule].label} (${i + 1})`;
}

/** Everything that is drawn on a canvas takes its colours from here; the page's own colours are in style.css. */
export interface Palette {
  dark: boolean;
  paper: string;
  ink: string;
  muted: string;
  line: string;
  faint: string;
  plus: string; // synapses and errors above zero
  minus: string; // and below
  classes: string[]; // of the toys' points
}

const LIGHT: Palette = {
  dark: false, paper: "#ffffff", ink: "#1d1d1f", muted: "#62625f", line: "#d9d6cf", faint: "#eeebe5",
  plus: "#01857a", minus: "#a8600c", classes: ["#1f8f86", "#c1822b", "#7566b8"],
};
const DARK: Palette = {
  dark: true, paper: "#1a1b1e", ink: "#f0efec", muted: "#a5a5a2", line: "#3a3b40", faint: "#292a2e",
  plus: "#4fc7b9", minus: "#e0a458", classes: ["#4fc7b9", "#e0a458", "#a99be8"],
};

export function palette(dark: boolean): Palette {
  return dark ? DARK : LIGHT;
}

/** The colour of run `i`. Twins of one rule are told apart by lightness: its own colour, a darker, a lighter one. */
export function runColour(runners: Runner[], i: number, look: Palette): string {
  const rule = runners[i].rule;
  const own = rule === "bp" && look.dark ? "#FFFFFF" : RULES[rule].colour;
  const earlier = runners.slice(0, i).filter((other) => other.rule === rule).length;
  return earlier === 0 ? own : earlier === 1 ? mixed(own, look.ink, 0.6) : mixed(own, look.paper, 0.4);
}

/** `share` of colour b in colour a, both "#rrggbb". */
export function mixed(a: string, b: string, share: number): string {
  const part = (colour: string, at: number) => parseInt(colour.slice(at, at + 2), 16);
  const mix = [1, 3, 5].map((at) => Math.round(part(a, at) * (1 - share) + part(b, at) * share));
  return `#${mix.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}
