/** The digits as the page unpacks them, and every toy's points. */
import type { DatasetName } from "../src/contract";
import { load } from "../src/engine/data";

export function main({ names }: { names: DatasetName[] }): unknown {
  return names.map((name) => {
    const { train, test, classes } = load(name, 0);
    return { train: { x: [...train.x], y: [...train.y] }, test: { x: [...test.x], y: [...test.y] }, classes };
  });
}
