/** The seven rules: what makes their feedback, what theory says of it, and whether weight decay aligns it. */
import type { RuleName, Runner } from "../contract";
import { ClosedProduct, Copied, Direct, Fixed, KolenPollack, SignSymmetric } from "./feedback";
import type { Feedback, Place, Take } from "./feedback";
import { orthogonalPairs, productPairs } from "./pairs";
import { Draw, Rng, uniform, xavierBound } from "./rng";

interface Rule {
  /** Weight decay is what turns F towards W, so training begins with the strong one. */
  alignsByDecay: boolean;
  /** Its learning rate as a share of the race's; 1 if not said. DFA has a fifth, as the package's CIFAR-10 runs have. */
  rateShare?: number;
  make(place: Place, runner: Runner, rng: Rng, take: Take): Feedback;
  /** Where the path angle of a layer of `out` neurons ends, in degrees; null: theory does not say. */
  limit(ratio: number, out: number): number | null;
  /** Mid neurons of the feedback path; null: it has none. */
  mid(ratio: number, out: number): number | null;
}

const none = () => null;
const zero = () => 0;
const xavier = (rng: Rng, { out, fanIn }: Place) => uniform(rng, out * fanIn, xavierBound(out, fanIn));

export const RULES: Record<RuleName, Rule> = {
  bp: { alignsByDecay: false, make: (place) => new Copied(place), limit: zero, mid: none },
  fa: { alignsByDecay: false, make: (place, _, rng) => new Fixed(place, xavier(rng, place)), limit: none, mid: none },
  dfa: {
    alignsByDecay: false,
    rateShare: 0.2,
    make: (place, _, rng) =>
      new Direct(place, uniform(rng, place.classes * place.fanIn, xavierBound(place.classes, place.fanIn))),
    limit: none,
    mid: none,
  },
  sf: {
    alignsByDecay: false,
    make: (place, { kind }, rng, take) => {
      if (kind === "uniform") return new SignSymmetric(place, kind, null);
      const M = take(place.W.length); // part of the state, as a step may draw it again
      M.set(xavier(rng, place));
      return new SignSymmetric(place, kind, M);
    },
    limit: none,
    mid: none,
  },
  kp: {
    alignsByDecay: true,
    make: (place, _, rng, take) => new KolenPollack(place, xavier(rng, place), take),
    limit: zero,
    mid: none,
  },
  pfa: {
    alignsByDecay: true,
    make: (place, { ratio }, rng, take) =>
      new ClosedProduct(place, productPairs(rng, place, middles(ratio, place.out)), false, take),
    limit: (ratio, out) => degrees(Math.atan(Math.sqrt((1 - 0.2 / out) / ratio))), // pfa_edu.alignment_limit
    mid: middles,
  },
  "pfa-o": {
    alignsByDecay: true,
    make: (place, _, rng, take) => new ClosedProduct(place, orthogonalPairs(rng, place), true, take),
    limit: zero,
    mid: (_, out) => out,
  },
};

export const NAMES = Object.keys(RULES) as RuleName[];

/** Mid neurons of a layer of `out` neurons. config.ts has checked that the number is whole. */
export function middles(ratio: number, out: number): number {
  return Math.round(ratio * out);
}

/** The random draws of a rule's feedback in layer `l`: the same wherever the rule runs, and in whatever company. */
export function feedbackRng(seed: number, rule: RuleName, l: number): Rng {
  return new Rng(seed, Draw.Feedback, NAMES.indexOf(rule), l);
}

export function degrees(radians: number): number {
  return (radians * 180) / Math.PI;
}
