/** Training steps a second, of this process's own time: other programs on the machine do not count. */
import type { Config } from "../src/contract";
import { Race } from "../src/engine/race";

export function main({ config, steps }: { config: Config; steps: number }, cpuSeconds: () => number): unknown {
  const race = new Race(config);
  for (let i = 0; i < 100; i++) race.advance(); // until it is compiled
  const start = cpuSeconds();
  for (let i = 0; i < steps; i++) race.advance();
  return { stepsPerSecond: steps / (cpuSeconds() - start), accuracy: race.recorder.at(race.step).lanes[0].accuracy };
}
