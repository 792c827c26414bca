/** Everything the page shows follows from one State, and a State fits into a link: see link.ts. */

import type { Config, DatasetName, Runner, RuleName } from "../contract";

export type ChartName = "gradient" | "path" | "loss";
export type Theme = "auto" | "light" | "dark";

export interface State {
  config: Config;
  speed: number; // steps a second; Infinity: as fast as possible
  shown: number; // whose network is drawn
  chart: ChartName; // the lower one
  sample: number; // of the test set
  point: [number, number] | null; // toys: in the sample's place
  story: number; // 1 to 5; 0: free
  answer: number | null; // the choice made in the story's step
  theme: Theme;
  lecture: boolean;
  at: number | null; // at rest at this step; null: running
}

export const SPEEDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, Infinity];
export const RATIOS = [1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 40, 60, 100];
export const WIDTHS = [4, 8, 16, 32, 64, 128];
export const RATES = [0.001, 0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3];
export const BATCHES = [1, 4, 8, 16, 32, 64, 128];

export function runner(rule: RuleName, ratio = 10): Runner {
  return { rule, ratio, kind: "uniform" };
}

/**
 * How many steps of a strong decay fade the random start of PFA, PFA-o and KP to e⁻³ = 5 %: each step takes away
 * lr · decay / (1 − momentum) of it.
 */
export function fadingSteps(lr: number, momentum: number, decay: number): number {
  return Math.round((3 * (1 - momentum)) / (lr * decay));
}

/** The strong decay that suits a network: points in a plane and deep networks bear less of it. */
export function withFading(config: Config): Config {
  const strongDecay = config.dataset !== "digits" ? 0.01 : config.hidden.length > 2 ? 0.015 : 0.02;
  return { ...config, strongDecay, strongSteps: Math.min(20000, fadingSteps(config.lr, config.momentum, strongDecay)) };
}

export const START_CONFIG: Config = withFading({
  runners: [runner("pfa")],
  dataset: "digits",
  hidden: [64, 64],
  lr: 0.05,
  momentum: 0.9,
  weightDecay: 1e-4,
  strongDecay: 0,
  strongSteps: 0,
  batch: 32,
  seed: 1,
});

/** What suits a data set: points in the plane are learned by small layers in larger steps, digits need wider ones. */
export function suited(config: Config, dataset: DatasetName): Config {
  const change = dataset === "digits" ? { hidden: [64, 64], lr: 0.05 } : { hidden: [32, 32], lr: 0.1 };
  return withFading({ ...config, ...change, dataset });
}

export function startState(dataset: DatasetName = "digits"): State {
  return {
    config: suited(structuredClone(START_CONFIG), dataset), speed: 50, shown: 0, chart: "gradient", sample: 0, point: null, story: 0,
    answer: null, theme: "auto", lecture: false, at: null,
  };
}

/** The limit of the path angle for wide layers, degrees: arctan(1/sqrt(ratio)). A frame has each layer's own. */
export function limitAngle(ratio: number): number {
  return (Math.atan(1 / Math.sqrt(ratio)) * 180) / Math.PI;
}

/** Whose ratio the slider moves: the drawn run's if it is PFA, else the first PFA's; null if there is none. */
export function ratioRunner(state: State): number | null {
  const { runners } = state.config;
  if (runners[state.shown]?.rule === "pfa") return state.shown;
  const first = runners.findIndex((one) => one.rule === "pfa");
  return first < 0 ? null : first;
}
