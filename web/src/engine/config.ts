/** Whether a config can be carried out. Each error names the value, the reason and the way out. */
import { LIMITS } from "../contract";
import type { Config, DatasetName } from "../contract";
import { NAMES, middles } from "./rules";
import { TOYS } from "./toys";

/** A value that cannot be carried out; its message is for the reader of the page. */
export class ConfigError extends Error {}

export function check(config: Config): void {
  const { runners, hidden, dataset } = config;
  if (runners.length < 1 || runners.length > 3) {
    throw new ConfigError(`${runners.length} rules: from 1 to 3 can train side by side`);
  }
  if (dataset !== "digits" && !(dataset in TOYS)) {
    throw new ConfigError(`data "${dataset}": choose ${["digits", ...Object.keys(TOYS)].join(", ")}`);
  }
  within("depth", hidden.length, true);
  for (const width of hidden) within("width", width, true);
  for (const name of ["lr", "momentum", "weightDecay", "strongDecay"] as const) within(name, config[name], false);
  for (const name of ["strongSteps", "batch", "seed"] as const) within(name, config[name], true);
  for (const { rule, ratio, kind } of runners) {
    if (!NAMES.includes(rule)) throw new ConfigError(`rule "${rule}": choose ${NAMES.join(", ")}`);
    if (!["uniform", "fixed", "batch"].includes(kind)) {
      throw new ConfigError(`kind of sign symmetry "${kind}": choose uniform, fixed or batch`);
    }
    if (rule !== "pfa") continue;
    within("ratio", ratio, false);
    for (const out of [...hidden, classesOf(dataset)]) checkRatio(ratio, out);
  }
}

function checkRatio(ratio: number, out: number): void {
  const mid = Math.max(1, middles(ratio, out));
  if (Math.abs(ratio * out - mid) > 1e-6) {
    throw new ConfigError(
      `ratio ${ratio} gives ${+(ratio * out).toPrecision(6)} mid neurons for a layer of ${out} outputs, and it has ` +
        `to be a whole number: ratio ${+(mid / out).toPrecision(6)} would give ${mid}`,
    );
  }
}

/** ConfigError unless `value` is a number within the limits of `name`. */
export function within(name: keyof typeof LIMITS, value: number, whole: boolean): void {
  const [low, high] = LIMITS[name];
  if (!(value >= low && value <= high) || (whole && !Number.isInteger(value))) {
    throw new ConfigError(`${name} ${value}: choose a ${whole ? "whole " : ""}number from ${low} to ${high}`);
  }
}

export function classesOf(dataset: DatasetName): number {
  return dataset === "digits" ? 10 : TOYS[dataset].classes;
}
