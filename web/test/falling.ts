/** A race in which a lane's loss stops being finite. */
import type { Config } from "../src/contract";
import { Framer } from "../src/engine/frames";
import { Race } from "../src/engine/race";

export function main({ config, steps }: { config: Config; steps: number }): unknown {
  const race = new Race(config), framer = new Framer(race), weights: string[] = [];
  for (let i = 0; i < steps; i++) {
    race.advance();
    weights.push(race.lanes[0].net.W.map((W) => W.join()).join("|"));
  }
  const standing = { playing: false, speed: 0, exact: true }, show = { sample: 0, weights: true, grid: 0 };
  const at = race.lanes.map((lane) => lane.fellAt), first = at[0]!;
  const frame = framer.frame(show, standing);
  race.rewind(first - 1);
  while (race.step < first) race.advance();
  return {
    fellAt: frame.runs.map((run) => run.fellAt),
    finite: race.lanes.every((lane) => lane.net.W.every((W) => W.every(Number.isFinite))),
    standsStill: weights[first] === weights[steps - 1] && weights[first - 1] === weights[first],
    beforeItFell: race.lanes[0].fellAt,
  };
}
