/**
 * The story: five presets, each with one sentence and one prediction.
 *
 * A question is answered by what the run shows at step `until`, not by this file: `judge` turns the measured numbers into
 * the choice that came true. A browser test runs all five and checks what is said.
 */

import type { Config, Frame, Ready } from "../contract";
import { START_CONFIG, runner, startState, withFading, type ChartName, type State } from "../view/state";

/** What was measured at step `until`, of each run. */
export interface Seen {
  accuracy: number[]; // [runner], percent
  steady: number[]; // [runner], percent: the mean of the last 200 steps, for a verdict that no single step decides
  path: number[][]; // [runner][layer >= 1], degrees
  start: number[][]; // the same at step 0
  gradient: number[][]; // [runner][hidden layer], degrees: the mean of the last 200 steps
}

export interface Step {
  name: string;
  say: string;
  question: string;
  choices: string[];
  config: Config;
  shown: number;
  speed: number;
  chart: ChartName;
  until: number;
  /** Which choice came true, and what was seen. */
  judge(seen: Seen): { right: number; told: string };
}

const DEEP = withFading({ ...START_CONFIG, hidden: [48, 48, 48, 48] });
const percent = (value: number) => `${value.toFixed(0)} %`;
const degrees = (value: number) => `${value.toFixed(1)}°`;
const mean = (values: number[]) => values.reduce((sum, one) => sum + one, 0) / values.length;

export const STEPS: Step[] = [
  {
    name: "Backprop's secret",
    say: "Backprop sends the error down through the very weights that brought the activity up. So the lower half mirrors the upper half. In a brain these would be different synapses.",
    question: "The forward synapses change with every step. What will the angle to the feedback synapses be?",
    choices: ["0°, at every step", "It starts at 90° and falls", "It grows as training goes on"],
    config: { ...START_CONFIG, runners: [runner("bp")] },
    shown: 0, speed: 20, chart: "path", until: 120,
    judge: ({ accuracy, path }) => ({
      right: Math.max(...path[0]) < 1e-3 ? 0 : 1,
      told: `The angle is ${Math.max(...path[0]).toFixed(0)}° in every layer, and the network reaches ${percent(accuracy[0])}. Every change would have to be copied at once, synapse by synapse. No synapse is known to do that: this is the weight transport problem.`,
    }),
  },
  {
    name: "Random feedback learns",
    say: "Now the error comes back through random synapses that never change (FA ▼). They know nothing of the forward synapses: the angle between them is near 90°.",
    question: "Will the network learn?",
    choices: ["No, it stays near 10 %", "Yes, it comes close to backprop", "It learns, then forgets again"],
    config: { ...START_CONFIG, runners: [runner("fa"), runner("bp")], hidden: [64] },
    shown: 0, speed: 50, chart: "path", until: 500,
    judge: ({ accuracy: [fa, bp], steady, path, start }) => ({
      right: steady[0] < 20 ? 0 : steady[1] - steady[0] < 15 ? 1 : 2,
      told: `FA reaches ${percent(fa)}, backprop ${percent(bp)}. The feedback did not move, so the forward synapses turned towards it: from ${degrees(start[0][0])} to ${degrees(path[0][0])}.`,
    }),
  },
  {
    name: "But not deep",
    say: "The same race with four hidden layers. On the way down, every layer's random synapses bend the error a little further.",
    question: "How far behind backprop will random feedback be after 600 steps?",
    choices: ["Less than 5 points", "5 to 15 points", "More than 15 points"],
    config: { ...DEEP, runners: [runner("fa"), runner("bp")] },
    shown: 0, speed: 100, chart: "gradient", until: 600,
    judge: ({ accuracy: [fa, bp], steady, gradient }) => ({
      right: steady[1] - steady[0] < 5 ? 0 : steady[1] - steady[0] <= 15 ? 1 : 2,
      told: `FA reaches ${percent(fa)}, backprop ${percent(bp)}. Over the last 200 steps, the hidden layers' changes were ${degrees(mean(gradient[0]))} away from backprop's on average; 90° would be no better than chance.`,
    }),
  },
  {
    name: "Let R learn",
    say: "PFA (◆) sends the error through two sets of synapses: B is random and fixed, and R learns from the signals at its own two ends. No synapse copies another.",
    question: "The same deep network. Where will PFA end up?",
    choices: ["With random feedback", "Half way", "With backprop"],
    config: { ...DEEP, runners: [runner("pfa"), runner("fa"), runner("bp")] },
    shown: 0, speed: 100, chart: "path", until: 600,
    judge: ({ accuracy: [pfa, fa, bp], steady, path }) => {
      const share = (steady[0] - steady[1]) / (steady[2] - steady[1]); // of the way from FA to backprop
      return {
        right: share < 0.25 ? 0 : share < 0.75 ? 1 : 2,
        told: `PFA reaches ${percent(pfa)}, FA ${percent(fa)}, backprop ${percent(bp)}. PFA's feedback has turned to ${degrees(mean(path[0]))} from the forward synapses on average: the lower half is nearly a mirror image now, and nothing was copied.`,
      };
    },
  },
  {
    name: "Why 17.5°?",
    say: "F becomes B Bᵀ W, and B Bᵀ of a random B is only nearly the identity. With 10 mid neurons for each neuron, theory says arctan(1/√10) = 17.5°. Ratio 1 gives 45°.",
    question: "Where will it end with 40 mid neurons for each neuron?",
    choices: ["4.4°: a quarter", "About 9°: half", "17.5° again"],
    config: { ...START_CONFIG, runners: [runner("pfa", 40), runner("pfa", 10), runner("pfa", 1)] },
    shown: 0, speed: 50, chart: "path", until: 500,
    judge: ({ path }) => {
      const [forty, ten, one] = path.map(mean);
      const far = [4.4, 9, 17.5].map((choice) => Math.abs(choice - forty));
      return {
        right: far.indexOf(Math.min(...far)),
        told: `The angles end at ${degrees(one)}, ${degrees(ten)} and ${degrees(forty)} for ratios 1, 10 and 40. Four times as many neurons halve the tangent: arctan(1/√40) = 9.0°.`,
      };
    },
  },
];

/** The page as step `story` (1 to 5) begins: at rest, waiting for a prediction. */
export function presetState(story: number): State {
  const { config, shown, speed, chart } = STEPS[story - 1];
  return { ...startState(), config: structuredClone(config), shown, speed, chart, story, at: 0 };
}

/** What `judge` needs, at the step's end, from the curves: they do not depend on speed or on where the scrubber is. */
export function seenAt(step: Step, ready: Ready, frame: Frame): Seen | null {
  const { steps, runs } = frame.curves;
  let k = steps.length - 1;
  while (k >= 0 && steps[k] > step.until) k--;
  if (frame.last < step.until || k < 0) return null;
  const layers = ready.sizes.length - 1;
  const points = Array.from(steps.keys()).filter((p) => steps[p] > step.until - 200 && steps[p] <= step.until);
  return {
    accuracy: runs.map((run) => run.accuracy[k]),
    steady: runs.map((run) => mean(points.map((p) => run.accuracy[p]))),
    path: runs.map((run) => Array.from(run.pathAngle.subarray(k * layers + 1, (k + 1) * layers))),
    start: runs.map((run) => Array.from(run.pathAngle.subarray(1, layers))),
    gradient: runs.map((run) => Array.from({ length: layers - 1 }, (_, l) => mean(points.map((p) => run.gradientAngle[p * layers + l])))),
  };
}
