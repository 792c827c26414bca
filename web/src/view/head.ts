/** The page's head: what it is, a link to send, large letters for a lecture, light and dark. */

import type { Change } from "./controls";
import { build, part, say } from "./dom";
import type { State } from "./state";

const MARKUP = `
  <h1>How could a brain learn?</h1>
  <p class="what">Seven ways to send an error back through a network</p>
  <nav aria-label="Page">
    <button type="button" class="quiet link" title="The address holds every setting, but not your answers in the story">Copy link</button>
    <button type="button" class="quiet hall" aria-pressed="false">Lecture</button>
    <button type="button" class="quiet theme"></button>
  </nav>`;

export class Head {
  private root: HTMLElement;
  private dark = false;

  constructor(parent: HTMLElement, change: Change) {
    this.root = build(parent, "header", "", MARKUP);
    part(this.root, ".theme").addEventListener("click", () => change((s) => (s.theme = this.dark ? "light" : "dark"), "view"));
    part(this.root, ".hall").addEventListener("click", () => {
      change((s) => {
        s.lecture = !s.lecture;
        void full(s.lecture);
      }, "view");
    });
    document.addEventListener("fullscreenchange", () => {
      if (!document.fullscreenElement) change((s) => (s.lecture = false), "view"); // left by the Escape key
    });
    const link = part(this.root, ".link");
    link.hidden = location.protocol === "about:"; // inside a notebook there is no address to copy
    link.addEventListener("click", () => {
      const told = (text: string) => {
        say(link, text);
        setTimeout(() => say(link, "Copy link"), 2500);
      };
      copy(location.href).then(() => told("Copied"), () => told("Copy it from the address bar"));
    });
  }

  show(state: State, dark: boolean): void {
    this.dark = dark;
    say(part(this.root, ".theme"), dark ? "Light" : "Dark");
    const hall = part(this.root, ".hall");
    hall.setAttribute("aria-pressed", String(state.lecture));
    say(hall, state.lecture ? "End lecture" : "Lecture");
  }
}

/** Full screen, where the browser grants it; the large letters come in any case. */
async function full(on: boolean): Promise<void> {
  try {
    if (on) await document.documentElement.requestFullscreen();
    else if (document.fullscreenElement) await document.exitFullscreen();
  } catch {
    // a frame inside another page, or a phone: the browser keeps its bars
  }
}

async function copy(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  throw new Error("this browser gives pages from disk no clipboard");
}
