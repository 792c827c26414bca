/** From a frame's curves to what a chart draws. */

import type { Frame, Ready } from "../contract";
import type { Average, ChartData, Line } from "./chart";
import { runColour, runName, type Palette } from "./looks";
import type { ChartName } from "./state";

export function accuracyChart(ready: Ready, frame: Frame, shown: number, look: Palette, average: Average | null): ChartData {
  const lines = frame.curves.runs.map((run, i) => line(ready, i, shown, look, run.accuracy, 1, 0, true));
  return { steps: frame.curves.steps, now: frame.step, lines, average, levels: [], moment: fading(ready, false), low: 0, high: 100, unit: " %" };
}

/** The second chart, and a sentence on what it shows. */
export function lowerChart(
  name: ChartName, ready: Ready, frame: Frame, shown: number, look: Palette, average: Average | null,
): { data: ChartData; about: string } {
  const layers = ready.sizes.length - 1;
  const { steps } = frame.curves;
  if (name === "loss") {
    const lines = frame.curves.runs.map((run, i) => line(ready, i, shown, look, run.loss, 1, 0, true));
    return {
      data: { steps, now: frame.step, lines, average: null, levels: [], moment: fading(ready, true), low: 0, high: null, unit: "" },
      about: "Cross-entropy on the last training batch.",
    };
  }
  const gradient = name === "gradient";
  // The output layer's gradient is exact under every rule; the first layer sends no error back, so its F says nothing.
  const drawn = Array.from({ length: layers - 1 }, (_, k) => (gradient ? k : k + 1));
  const lines = frame.curves.runs.flatMap((run, i) =>
    drawn.map((l) => line(ready, i, shown, look, gradient ? run.gradientAngle : run.pathAngle, layers, l, l === (gradient ? 0 : layers - 1))),
  );
  const levels = gradient
    ? []
    : ready.floors.flatMap((floors, i) => {
        const at = floors.at(-1) ?? null;
        return at === null ? [] : [{ at, colour: runColour(ready.config.runners, i, look) }];
      });
  const about = gradient
    ? "How far each layer's change is from backprop's. 0°: same direction; 90°: unrelated; more: against it. Thick: the first layer."
    : "Between F and W, layer by layer. Dashed: where theory says it ends. Thick: the output layer.";
  return { data: { steps, now: frame.step, lines, average: gradient ? average : null, levels, moment: fading(ready, true), low: 0, high: topAngle(lines), unit: "°" }, about };
}

/** The end of the strong decay, if a rule of the race needs one. */
function fading(ready: Ready, above: boolean): ChartData["moment"] {
  const { runners, strongSteps } = ready.config;
  const needed = runners.some(({ rule }) => rule === "kp" || rule === "pfa" || rule === "pfa-o");
  return needed ? { step: strongSteps, name: "strong decay until here", above } : null;
}

/** Angles are drawn from 0 to a little over 90, further if they go further. */
function topAngle(lines: Line[]): number {
  let most = 0;
  for (const { values } of lines) for (const value of values) if (value > most) most = value;
  return most <= 100 ? 100 : most <= 120 ? 120 : 180;
}

function line(
  ready: Ready, i: number, shown: number, look: Palette, values: Float32Array, stride: number, column: number,
  labelled: boolean,
): Line {
  const { runners } = ready.config;
  return {
    name: runName(runners, i), rule: runners[i].rule, colour: runColour(runners, i, look), values, stride, column,
    main: i === shown, labelled,
  };
}
