/**
 * The story: five presets, each with one sentence and one prediction.
 *
 * A question is answered by what the run shows at step `until`, not by this file: `judge` turns the measured numbers into
 * the choice that came true. A browser test runs all five and checks what is said.
 */

import type { Config, Frame, Ready } from "../contract";
import type { Average } from "../view/chart";
import { START_CONFIG, runner, startState, withFading, type ChartName, type State } from "../view/state";

/** What was measured at step `until`, of each run. */
export interface Seen {
  accuracy: number[]; // [runner], percent: the mean of the step's last `average` steps
  path: number[][]; // [runner][layer >= 1], degrees
  start: number[][]; // the same at step 0
  gradient: number[][]; // [runner][hidden layer], degrees: the mean of the same steps
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
  average: number; // steps before `until` whose mean is told, so that no single step decides; 0: `until` alone
  /** Which choice came true, and what was seen. */
  judge(seen: Seen): { right: number; told: string };
}

const DEEP = withFading({ ...START_CONFIG, hidden: [48, 48, 48, 48], lr: 0.02 });
const percent = (value: number) => `${value.toFixed(0)}\u00a0%`;
const degrees = (value: number) => `${value.toFixed(1)}°`;
const mean = (values: number[]) => values.reduce((sum, one) => sum + one, 0) / values.length;

export const STEPS: Step[] = [
  {
    name: "Backprop's secret",
    say: "Backprop sends the error down through the very weights that brought the activity up. So the lower half mirrors the upper half. In a brain these would be different synapses.",
    question: "The forward synapses change with every step. What will the angle to the feedback synapses be?",
    choices: ["0°, at every step", "It starts at 90° and falls", "It grows as training goes on"],
    config: { ...START_CONFIG, runners: [runner("bp")] },
    shown: 0, speed: 20, chart: "path", until: 120, average: 0,
    judge: ({ accuracy, path }) => ({
      right: Math.max(...path[0]) < 1e-3 ? 0 : 1,
      told: `The angle is ${Math.max(...path[0]).toFixed(0)}° in every layer, and the network reaches ${percent(accuracy[0])}. Every change would have to be copied at once, synapse by synapse. No synapse is known to do that: this is the weight transport problem.`,
    }),
  },
  {
    name: "Random feedback learns",
    say: "Now the error comes back through random synapses that never change (FA ▼). They know nothing of the forward synapses: the angle between them is near 90°.",
    question: "Will the network learn?",
    choices: ["No, it stays near 10\u00a0%", "Yes, it comes close to backprop", "It learns, but far behind"],
    config: { ...START_CONFIG, runners: [runner("fa"), runner("bp")], hidden: [64] },
    shown: 0, speed: 50, chart: "path", until: 500, average: 200,
    judge: ({ accuracy: [fa, bp], path, start }) => ({
      right: fa < 20 ? 0 : bp - fa < 15 ? 1 : 2,
      told: `Over the last 200 steps FA has ${percent(fa)} on average, backprop ${percent(bp)}. The feedback did not move, so the forward synapses turned towards it: from ${degrees(start[0][0])} to ${degrees(path[0][0])}.`,
    }),
  },
  {
    name: "But not deep",
    say: "The same race with four hidden layers. The error now passes four random matrices.",
    question: "How far behind backprop will random feedback be after 600 steps?",
    choices: ["Less than 5 points", "5 to 15 points", "More than 15 points"],
    config: { ...DEEP, runners: [runner("fa"), runner("bp")] },
    shown: 0, speed: 100, chart: "gradient", until: 600, average: 200,
    judge: ({ accuracy: [fa, bp], gradient }) => ({
      right: bp - fa < 5 ? 0 : bp - fa <= 15 ? 1 : 2,
      told: `Over the last 200 steps FA has ${percent(fa)} on average, backprop ${percent(bp)}. In the first layer FA's change was ${degrees(gradient[0][0])} away from backprop's; 90° would be unrelated. At a learning rate of 0.005 the gap is smaller, about 15 points, but it stays.`,
    }),
  },
  {
    name: "Let R learn",
    say: "PFA (◆) sends the error through two sets of synapses: B is random and fixed, and R learns from the signals at its own two ends. No synapse copies another. For these 1,000 steps PFA alone has a strong weight decay: it makes both paths forget their random start.",
    question: "The same deep network, 1,000 steps. Where will PFA end up?",
    choices: ["With random feedback", "Half way", "With backprop"],
    config: { ...DEEP, runners: [runner("pfa"), runner("fa"), runner("bp")] },
    shown: 0, speed: 200, chart: "path", until: 1000, average: 200,
    judge: ({ accuracy: [pfa, fa, bp], path }) => {
      const share = (pfa - fa) / (bp - fa); // of the way from FA to backprop
      return {
        right: share < 0.25 ? 0 : share < 0.75 ? 1 : 2,
        told: `Over the last 200 steps PFA has ${percent(pfa)} on average, FA ${percent(fa)}, backprop ${percent(bp)}. PFA's feedback has turned to ${degrees(mean(path[0]))} from the forward synapses, averaged over the layers: B R is nearly W now, and nothing was copied.`,
      };
    },
  },
  {
    name: "Why 17.5°?",
    say: "F becomes B Bᵀ W, and B Bᵀ of a random B is only nearly the identity. At ratio 10, with 10 mid neurons per neuron, theory says arctan(1/√10) = 17.5°. Ratio 1 gives 45°.",
    question: "Where will the angle end at ratio 40?",
    choices: ["4.4°: a quarter", "About 9°: half", "17.5° again"],
    config: { ...START_CONFIG, runners: [runner("pfa", 40), runner("pfa", 10), runner("pfa", 1)] },
    shown: 0, speed: 50, chart: "path", until: 500, average: 0,
    judge: ({ path }) => {
      const [forty, ten, one] = path.map(mean);
      const far = [4.4, 9, 17.5].map((choice) => Math.abs(choice - forty));
      return {
        right: far.indexOf(Math.min(...far)),
        told: `On average over the layers the angles end at ${degrees(one)}, ${degrees(ten)} and ${degrees(forty)} for ratios 1, 10 and 40. Four times as many neurons halve the tangent: arctan(1/√40) = 9.0°.`,
      };
    },
  },
];

/** The page as step `story` (1 to 5) begins: at rest, waiting for a prediction. */
export function presetState(story: number): State {
  const { config, shown, speed, chart } = STEPS[story - 1];
  return { ...startState(), config: structuredClone(config), shown, speed, chart, story, at: 0 };
}

/** The steps whose mean the verdict tells, once there is an answer: the charts then show it too. */
export function averagedIn({ story, answer }: State): Average | null {
  const { until, average } = STEPS[story - 1] ?? { until: 0, average: 0 };
  return answer !== null && average ? { from: until - average, to: until } : null;
}

/** What `judge` needs, at the step's end, from the curves: they do not depend on speed or on where the scrubber is. */
export function seenAt(step: Step, ready: Ready, frame: Frame): Seen | null {
  const { steps, runs } = frame.curves;
  let k = steps.length - 1;
  while (k >= 0 && steps[k] > step.until) k--;
  if (frame.last < step.until || k < 0) return null;
  const layers = ready.sizes.length - 1;
  const points = step.average ? Array.from(steps.keys()).filter((p) => steps[p] > step.until - step.average && steps[p] <= step.until) : [k];
  return {
    accuracy: runs.map((run) => mean(points.map((p) => run.accuracy[p]))),
    path: runs.map((run) => Array.from(run.pathAngle.subarray(k * layers + 1, (k + 1) * layers))),
    start: runs.map((run) => Array.from(run.pathAngle.subarray(1, layers))),
    gradient: runs.map((run) => Array.from({ length: layers - 1 }, (_, l) => mean(points.map((p) => run.gradientAngle[p * layers + l])))),
  };
}
