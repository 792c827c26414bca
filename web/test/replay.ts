/** Plays, seeks, changes the pace and resets as a page would, with a clock of its own; says whether each is exact. */
import type { Command, Config, Frame, Message } from "../src/contract";
import { Player } from "../src/engine/player";

/** A player whose clock only moves when it is looked at: so many milliseconds each time. */
class Page {
  readonly frames: Frame[] = [];
  readonly failures: string[] = [];
  readonly kinds: string[] = [];
  readonly player: Player;
  time = 0;
  longest = 0; // milliseconds of one turn

  constructor(private readonly tick: number) {
    this.player = new Player((message) => this.hear(message), () => (this.time += this.tick));
  }

  private hear(message: Message): void {
    this.kinds.push(message.type);
    if (message.type === "frame") this.frames.push(message);
    if (message.type === "failure") this.failures.push(message.message);
  }

  /** Sends commands and lets the player work until it rests; the last frame. */
  ask(...commands: Command[]): Frame {
    for (const command of commands) this.player.obey(command);
    for (let wait: number | null = 0; wait !== null; ) {
      const start = this.time;
      wait = this.player.turn();
      this.longest = Math.max(this.longest, this.time - start);
      if (wait) this.time += wait;
    }
    return this.frames[this.frames.length - 1];
  }

  /** Plays for so many milliseconds, then pauses. */
  play(speed: number, ms: number): Frame {
    this.player.obey({ type: "play", speed });
    for (const end = this.time + ms; this.time < end; ) {
      const wait = this.player.turn() ?? 0; // first: it looks at the clock
      this.time += wait;
    }
    return this.ask({ type: "pause" });
  }
}

/** All numbers of the networks at a frame, as one string of bits. */
function bits(frame: Frame): string {
  const parts = frame.runs.flatMap((run) => [
    ...run.weights!.flatMap(({ W, F }) => [W, F]), ...run.activations, ...run.errors,
  ]);
  const curves = frame.curves.runs.flatMap((run) => [run.loss, run.accuracy, run.pathAngle, run.gradientAngle]);
  const bytes = (part: Float32Array): Uint8Array => new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
  return [...parts, ...curves].map((part) => bytes(part).join()).join("|");
}

export function main({ config, far }: { config: Config; far: number }): unknown {
  const page = new Page(0.5), other = new Page(0.5);
  const first = page.ask({ type: "start", config }), start = bits(first);
  const half = Math.round(far / 2) + 3;
  other.ask({ type: "start", config });
  const there = bits(other.ask({ type: "step", count: half })); // without any detour
  const end = page.ask({ type: "step", count: far }), whole = bits(end);
  const back = page.ask({ type: "seek", step: half });
  const backBits = networks(back), forth = page.ask({ type: "seek", step: far });
  const slow = new Page(0.5);
  slow.ask({ type: "start", config });
  slow.play(20, 1000);
  const slowly = slow.ask({ type: "seek", step: half });
  const paced = page.ask({ type: "seek", step: half }, { type: "pace", lr: config.lr / 2, weightDecay: 0 });
  const changed = page.ask({ type: "step", count: 20 }), again = bits(changed);
  const replayed = page.ask({ type: "seek", step: half - 5 }, { type: "seek", step: half + 20 });
  const reset = page.ask({ type: "reset" }), resetBits = bits(reset);
  const anew = page.ask({ type: "step", count: far });
  return {
    backIsThere: backBits === networks(other.frames[other.frames.length - 1]),
    backKeepsCurves: back.curves.steps.length === end.curves.steps.length && back.last === far,
    forthIsEnd: bits(forth) === whole,
    slowIsFast: bits(slowly) === there,
    pacedForgets: paced.last === half && paced.curves.steps[paced.curves.steps.length - 1] <= half,
    pacedDiffers: again !== bits(page.frames[page.frames.length - 1]) && changed.lr === config.lr / 2,
    pacedReplays: bits(replayed) === again,
    resetIsStart: resetBits === start && reset.last === 0 && reset.lr === config.lr,
    anewIsEnd: bits(anew) === whole,
    longest: page.longest,
    failures: page.failures,
    kinds: page.kinds.slice(0, 2),
    speeds: [10, 200].map((speed) => {
      const page = new Page(0.5);
      page.ask({ type: "start", config });
      return page.play(speed, 3000).step / 3;
    }),
    framesASecond: (() => {
      const page = new Page(0.5);
      page.ask({ type: "start", config });
      page.play(Infinity, 2000);
      return page.frames.length / 2;
    })(),
    refused: refusals(config),
  };
}

/** The same without the curves, which know more after a detour. */
function networks(frame: Frame): string {
  return bits({ ...frame, curves: { steps: new Float64Array(), runs: [] } });
}

/** What is said of configs and commands that cannot be carried out, and that the race goes on as it was. */
function refusals(config: Config): unknown {
  const page = new Page(0.5);
  page.ask({ type: "start", config });
  const pfa = { rule: "pfa" as const, ratio: 0.33, kind: "uniform" as const };
  page.ask(
    { type: "start", config: { ...config, runners: [pfa] } },
    { type: "start", config: { ...config, hidden: [] } },
    { type: "start", config: { ...config, lr: NaN } },
    { type: "seek", step: -1 },
    { type: "pace", lr: 50, weightDecay: 0 },
    { type: "play", speed: 0 },
  );
  return { failures: page.failures, step: page.ask({ type: "step", count: 3 }).step };
}
