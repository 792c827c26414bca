/** Says now and then, for those who listen to the page, how far everyone is. Not every picture: that would be noise. */

import type { Frame, Ready } from "../contract";
import { build, say } from "./dom";
import { runName } from "./looks";

const EVERY_MS = 8000;

export class Announcer {
  private region: HTMLElement;
  private last = -Infinity;
  private wasPlaying = false;

  constructor(parent: HTMLElement) {
    this.region = build(parent, "div", "away live", "");
    this.region.setAttribute("role", "status");
    this.region.setAttribute("aria-live", "polite");
  }

  /** A frame at `now` (milliseconds): said if it is time, or if the training has just come to rest. */
  hear(ready: Ready, frame: Frame, now: number): void {
    const stopped = this.wasPlaying && !frame.playing;
    this.wasPlaying = frame.playing;
    if (!stopped && (!frame.playing || now - this.last < EVERY_MS)) return;
    this.last = now;
    say(this.region, summary(ready, frame));
  }
}

/** "Step 400. PFA: 91 percent right, feedback 19 degrees from the forward synapses." */
export function summary(ready: Ready, frame: Frame): string {
  const told = frame.runs.map((run, i) => {
    const name = runName(ready.config.runners, i);
    if (run.fellAt !== null) return `${name} broke down at step ${run.fellAt}.`;
    const angles = run.pathAngle.slice(1).filter(Number.isFinite);
    const path = angles.length ? `, feedback at ${Math.round(Math.max(...angles))} degrees to the forward synapses` : "";
    return `${name}: ${Math.round(run.accuracy)} percent right${path}.`;
  });
  return `Step ${frame.step}. ${told.join(" ")}`;
}
