/**
 * The page: one State, one Trainer, and everything that shows the one and asks the other.
 *
 * A change of the configuration starts the training again; a change of what is shown does not touch it.
 */

import type { Frame, Message, Ready, Trainer } from "../contract";
import { StoryPanel } from "../story/panel";
import { averagedIn } from "../story/steps";
import { Address } from "./address";
import { Announcer } from "./announcer";
import { Controls } from "./controls";
import { build, say } from "./dom";
import { Head } from "./head";
import { listenToKeys } from "./keys";
import { fromLink, toLink } from "./link";
import { palette, runName, type Palette } from "./looks";
import { Loop } from "./loop";
import { Scrubber } from "./scrubber";
import { Stage } from "./stage";
import type { State } from "./state";
import type { Transport } from "./transport";

const GRID = 56; // side of the map of the plane in cells
const RESTART_MS = 90; // a slider that is dragged starts the training once it rests

export class Playground implements Transport {
  readonly loop: Loop;
  state: State;
  ready: Ready | null = null;
  frame: Frame | null = null;
  private playing = false;
  private failed = false; // the notice tells of this configuration: another one takes it away
  private fallen = false; // it tells of a loss that is no longer finite: going back before that takes it away
  private story: StoryPanel;
  private controls: Controls;
  private stage: Stage;
  private scrubber: Scrubber;
  private announcer: Announcer;
  private head: Head;
  private notice: HTMLElement;
  private restartAt = 0;
  private address = new Address((link) => this.open(link));
  private drawn: Frame | null = null;
  private reduced = matchMedia("(prefers-reduced-motion: reduce)");
  private darkWish = matchMedia("(prefers-color-scheme: dark)");

  constructor(private root: HTMLElement, private trainer: Trainer) {
    // A notebook shows the page without an address of its own, and says there what to show (pfa_edu.web.Playground).
    const { state, complaints } = fromLink(this.address.now || (root.dataset["link"] ?? ""));
    this.state = state;
    this.setTheme();
    const change = this.change.bind(this);
    this.head = new Head(root, change);
    this.notice = build(root, "p", "notice", "");
    this.notice.setAttribute("role", "alert");
    this.tell(complaints.join(" "));
    this.story = new StoryPanel(root, change, this);
    this.controls = new Controls(root, change);
    const main = build(root, "main", "", "");
    main.style.display = "contents";
    this.stage = new Stage(main, this.look, {
      show: (runner) => change((s) => (s.shown = Math.min(runner, s.config.runners.length - 1)), "view"),
      chart: (name) => change((s) => (s.chart = name), "view"),
      point: (at) => change((s) => (s.point = at), "view"),
      sample: (step) => change((s) => (s.sample = (s.sample + step) % (this.ready?.samples ?? Infinity)), "view"),
    });
    this.scrubber = new Scrubber(root, (step) => this.seek(step), this);
    this.announcer = new Announcer(root);
    listenToKeys(this);
    trainer.listen((message) => this.hear(message));
    this.darkWish.addEventListener("change", () => this.show());
    document.addEventListener("visibilitychange", () => this.rest());
    this.show();
    this.start(this.state.at === null);
    this.loop = new Loop((ms, now) => this.tick(ms, now));
  }

  // ------------------------------------------------------------------------------------------------ training

  toggle(): void {
    if (this.playing) this.pause();
    else this.play();
  }

  play(): void {
    this.playing = true;
    this.scrubber.forget();
    this.state.at = null;
    this.trainer.send({ type: "play", speed: this.state.speed });
    this.show();
  }

  pause(): void {
    this.playing = false;
    this.trainer.send({ type: "pause" });
    this.state.at = this.frame?.step ?? 0; // the frame that is on its way sets it right
    this.show();
  }

  step(count: number): void {
    this.playing = false;
    this.scrubber.forget();
    const from = this.frame?.step ?? 0;
    if (count > 0) this.trainer.send({ type: "step", count });
    else this.trainer.send({ type: "seek", step: Math.max(0, from + count) });
    this.state.at = from;
    this.show();
  }

  /** Nobody looks at a hidden tab: it should not heat a laptop. */
  private rest(): void {
    if (!this.playing) return;
    this.trainer.send(document.hidden ? { type: "pause" } : { type: "play", speed: this.state.speed });
  }

  seek(step: number): void {
    this.playing = false;
    this.state.at = step;
    this.trainer.send({ type: "seek", step });
    this.show();
  }

  reset(): void {
    this.seek(0);
    this.trainer.send({ type: "reset" });
  }

  /** Builds the networks of the present configuration; plays, or rests at the state's step. */
  private start(play: boolean): void {
    this.restartAt = 0;
    this.scrubber.forget();
    [this.ready, this.frame] = [null, null];
    this.playing = false;
    this.trainer.send({ type: "start", config: structuredClone(this.state.config) });
    this.sendShow();
    if (play) this.play();
    else if (this.state.at) this.seek(this.state.at);
  }

  private sendShow(): void {
    const { config, sample, point } = this.state;
    const grid = config.dataset === "digits" ? 0 : GRID;
    const show = { sample, weights: true, grid, ...(point && grid ? { point } : {}) };
    this.trainer.send({ type: "show", show });
  }

  private hear(message: Message): void {
    if (message.type === "failure") {
      if (this.playing) this.pause(); // a training that could not begin: an earlier one would go on unseen
      this.tell(message.message);
      this.failed = true;
    } else if (message.type === "ready") {
      if (JSON.stringify(message.config) !== JSON.stringify(this.state.config)) return; // overtaken by another change
      this.ready = message;
      if (this.failed) this.tell("");
      this.failed = false;
      this.setStage(message);
    } else if (this.ready) {
      this.frame = message;
      this.tellFallen(this.ready, message);
      if (!this.playing && !message.playing) this.state.at = message.step;
    }
  }

  /** A loss that is no longer finite: said, since a curve that merely ends would look like a result. */
  private tellFallen({ config }: Ready, frame: Frame): void {
    const fallen = frame.runs.flatMap(({ fellAt }, i) => (fellAt === null ? [] : [`${runName(config.runners, i)} at step ${fellAt}`]));
    if (fallen.length) {
      this.tell(`The loss is no longer finite: ${fallen.join(", ")}. It has stood still since then. Take a smaller learning rate.`);
      [this.fallen, this.failed] = [true, true];
    } else if (this.fallen) {
      this.tell("");
      [this.fallen, this.failed] = [false, false];
    }
  }

  // ------------------------------------------------------------------------------------------------ what is shown

  change(change: (state: State) => void, what: "restart" | "speed" | "view"): void {
    change(this.state);
    if (what === "restart") {
      if (this.state.story && !this.story.isPreset(this.state)) [this.state.story, this.state.answer] = [0, null];
      this.state.at = this.playing ? null : 0;
      this.restartAt = performance.now() + RESTART_MS;
      [this.ready, this.frame] = [null, null]; // frames of the old training are still on their way: they tell nothing
    } else if (what === "speed") {
      if (this.playing) this.trainer.send({ type: "play", speed: this.state.speed });
    } else {
      this.sendShow();
    }
    this.show();
  }

  /** Another link. */
  private open(link: string): void {
    const { state, complaints } = fromLink(link);
    this.state = state;
    this.tell(complaints.join(" "));
    [this.ready, this.frame] = [null, null];
    this.show();
    this.start(state.at === null);
  }

  private show(): void {
    this.setTheme();
    this.root.classList.toggle("lecture", this.state.lecture);
    this.root.classList.toggle("telling", this.state.story > 0);
    this.head.show(this.state, this.dark);
    this.controls.show(this.state);
    this.scrubber.buttons.playingIs(this.playing);
    this.story.show(this.state, this.frame, this.ready);
    if (this.ready) this.setStage(this.ready);
  }

  private setStage(ready: Ready): void {
    const { shown, chart, point } = this.state;
    this.stage.setup(ready, { shown, chart, point, average: averagedIn(this.state) }, this.look, this.scale);
  }

  private tick(ms: number, now: number): void {
    if (this.restartAt && now >= this.restartAt) this.start(this.state.at === null);
    const { frame, ready } = this;
    if (frame && ready && frame !== this.drawn) {
      this.drawn = frame;
      this.stage.take(frame);
      this.scrubber.show(frame);
      this.announcer.hear(ready, frame, now);
      this.story.show(this.state, frame, ready);
    }
    this.stage.tick(ms, this.reduced.matches || !this.playing);
    this.address.write(() => toLink(this.state), now);
  }

  private tell(text: string): void {
    say(this.notice, text);
    this.notice.hidden = text === "";
  }

  private get dark(): boolean {
    const { theme } = this.state;
    return theme === "dark" || (theme === "auto" && this.darkWish.matches);
  }

  private get look(): Palette {
    return palette(this.dark);
  }

  private get scale(): number {
    const width = window.innerWidth;
    // As the letters in style.css: as large as leaves room for the pictures.
    const lecture = Math.max(1.2, Math.min(1.45, width / 1070));
    return (this.state.lecture ? lecture : 1) * (width >= 1700 ? 1.15 : 1);
  }

  private setTheme(): void {
    this.root.classList.toggle("dark", this.dark);
  }
}
