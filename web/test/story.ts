/** Trains races; of each, the mean accuracy of the last 200 steps and the last path angle, averaged over the layers. */
import type { Config } from "../src/contract";
import { Race } from "../src/engine/race";

const mean = (values: number[]): number => values.reduce((sum, one) => sum + one, 0) / values.length;

export function main({ configs, steps }: { configs: Config[]; steps: number }): unknown {
  return configs.map((config) => {
    const race = new Race(config), layers = config.hidden.length + 1;
    while (race.step < steps) race.advance();
    const curves = race.recorder.curves(), last = curves.steps.length - 1;
    const inside = Array.from(curves.steps.keys()).filter((k) => curves.steps[k] > steps - 200);
    return {
      accuracy: curves.runs.map((run) => mean(inside.map((k) => run.accuracy[k]))),
      path: curves.runs.map((run) => mean(Array.from(run.pathAngle.subarray(last * layers + 1, (last + 1) * layers)))),
    };
  });
}
