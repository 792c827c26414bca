/**
 * Obeys the page's commands. It trains in slices of a few milliseconds, and between two of them it listens; so a click
 * is answered at once however heavy the network is.
 *
 * It knows neither workers nor clocks: `turn` is called with the time, and says when it wants to be called again.
 */
import type { Command, Frame, Message, Show } from "../contract";
import { ConfigError } from "./config";
import { Framer, ready } from "./frames";
import { Race } from "./race";

const SLICE_MS = 8;
const FRAME_MS = 1000 / 60; // between two frames at least
const FRAME_SHARE = 3; // after a frame that took 10 ms comes no other for 30 ms: most of the time is for training
const SEEKING_MS = 150; // on the way to where a seek leads: a sign of life, not a film
const CALM = 30; // steps a second up to which every frame is measured exactly
const AVERAGE_MS = 500; // over which the reached speed is told

export class Player {
  private race: Race | null = null;
  private framer: Framer | null = null;
  private show: Show = { sample: 0, weights: true, grid: 0 };
  private playing = false;
  private wanted = 0; // steps a second
  private owed = 0; // steps that are due, a fraction
  private target: number | null = null; // of a seek or of single steps
  private changed = false; // since the last frame
  private turned = 0; // when
  private framed = 0; // when the last frame was sent
  private rest = FRAME_MS; // until the next
  private pace = { since: 0, step: 0, speed: 0 }; // the reached speed

  constructor(private readonly tell: (message: Message) => void, private readonly now: () => number) {}

  /** Carries out a command; what cannot be done is told, and changes nothing. */
  obey(command: Command): void {
    try {
      this.carryOut(command);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      this.tell({ type: "failure", message: error.message });
    }
  }

  /** Works for a slice, tells what has changed; the milliseconds until it wants to be called again, null: when told. */
  turn(): number | null {
    const { race } = this, start = this.now();
    if (!race) return null;
    if (this.playing) this.owed += ((start - this.turned) / 1000) * this.wanted;
    this.turned = start;
    while (this.due(race) && this.now() - start < SLICE_MS) this.advance(race);
    this.owed = Math.min(this.owed, Math.max(1, this.wanted / 4)); // what could not be done in time is let go
    this.timeSpeed(race, start);
    const wait = this.framed + (this.target === null ? this.rest : SEEKING_MS) - this.now();
    if (this.changed && (wait <= 0 || !this.busy)) this.frame();
    if (this.due(race)) return 0;
    if (!this.playing) return null;
    return Math.max(0, Math.min(FRAME_MS, ((1 - this.owed) / this.wanted) * 1000));
  }

  private carryOut(command: Command): void {
    if (command.type === "show") {
      this.show = command.show;
      this.changed = true;
      return;
    }
    if (command.type === "start") {
      this.race = new Race(command.config); // first: if it fails, the race that is there stays as it is
      this.framer = new Framer(this.race);
      this.halt();
      this.tell(ready(this.race));
      this.changed = true;
      return;
    }
    const { race } = this;
    if (!race) throw new ConfigError(`"${command.type}" before "start": nothing trains yet`);
    this.changed = true;
    if (command.type === "play") return this.play(command.speed);
    if (command.type === "pace") return race.setPace(command.lr, command.weightDecay);
    this.halt();
    if (command.type === "step") this.target = race.step + wholeSteps("step", command.count);
    if (command.type === "seek") {
      this.target = wholeSteps("seek", command.step);
      race.rewind(this.target);
      if (race.step === this.target) this.target = null; // a snapshot was taken there: nothing is left to be done
    }
    if (command.type === "reset") race.reset();
  }

  private play(speed: number): void {
    if (!(speed > 0)) throw new ConfigError(`play at ${speed} steps a second: choose a number above 0, or pause`);
    if (!this.playing) {
      this.owed = 1; // the first step at once
      this.turned = this.now();
      this.pace = { since: this.turned, step: this.race!.step, speed: 0 };
    }
    this.target = null;
    this.playing = true;
    this.wanted = Math.min(speed, 1e6);
  }

  private halt(): void {
    this.playing = false;
    this.target = null;
    this.owed = this.pace.speed = 0;
  }

  private due(race: Race): boolean {
    return this.target !== null ? race.step < this.target : this.playing && this.owed >= 1;
  }

  private advance(race: Race): void {
    race.advance();
    if (this.target === null) this.owed--;
    else if (race.step >= this.target) this.target = null;
    this.changed = true;
  }

  /** Whether more training waits than a slice has time for: then frames keep their distance, and measure less. */
  private get busy(): boolean {
    return this.target !== null || (this.playing && this.wanted > CALM);
  }

  private frame(): void {
    const start = this.now();
    const standing = { playing: this.playing, speed: this.pace.speed, exact: !this.busy };
    const frame: Frame = this.framer!.frame(this.show, standing);
    this.tell(frame);
    this.framed = start;
    this.rest = Math.max(FRAME_MS, (1 + FRAME_SHARE) * (this.now() - start));
    this.changed = false;
  }

  private timeSpeed(race: Race, now: number): void {
    const elapsed = now - this.pace.since;
    if (!this.playing || elapsed < AVERAGE_MS) return;
    this.pace = { since: now, step: race.step, speed: ((race.step - this.pace.step) / elapsed) * 1000 };
  }
}

function wholeSteps(what: string, value: number): number {
  if (!Number.isInteger(value) || value < 0) throw new ConfigError(`${what} ${value}: choose a whole number of steps`);
  return value;
}
