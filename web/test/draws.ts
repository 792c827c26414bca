/** What the engine's own random draws lead to: sizes at the start, and angles once the start has faded. */
import type { Config } from "../src/contract";
import { pathMeasures } from "../src/engine/measure";
import { Race } from "../src/engine/race";

export function main({ config, steps }: { config: Config; steps: number }): unknown {
  const race = new Race(config);
  const size = (values: Float32Array): number => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
  const first = race.lanes.map((lane) => ({
    W: lane.net.W.map((W) => [...W]),
    sizeW: lane.net.W.map(size),
    sizeF: lane.feedback.map((feedback) => size(feedback.form())),
    angles: pathMeasures(lane).angles,
  }));
  while (race.step < steps) race.advance();
  return { first, last: race.lanes.map((lane) => pathMeasures(lane).angles) };
}
