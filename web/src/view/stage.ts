/**
 * All the pictures: the network of one run, the curves of all, the map of the plane, one synapse up close.
 *
 * It knows nothing of controls or stories, so that a notebook can show it too: give it what a Trainer says.
 */

import type { Frame, Ready } from "../contract";
import { Chart } from "./chart";
import type { Average } from "./chart";
import { accuracyChart, lowerChart } from "./curves";
import { build, part, say } from "./dom";
import { runColour, runName, RULES, type Palette } from "./looks";
import { markSvg } from "./marks";
import { Network } from "./network";
import type { Synapse } from "./picking";
import { Plane } from "./plane";
import type { ChartName } from "./state";
import { SynapseView } from "./synapse_view";

export interface StageChoices {
  shown: number;
  chart: ChartName;
  point: [number, number] | null;
  average: Average | null; // steps whose mean the charts show
}

/** What a reader does to the pictures. */
export interface StageEvents {
  show(runner: number): void;
  chart(name: ChartName): void;
  point(at: [number, number]): void;
  sample(step: number): void; // another digit: +1 or -1
}

const CHARTS: [ChartName, string][] = [["gradient", "Gradient angle"], ["path", "Feedback angle"], ["loss", "Loss"]];
const CHART_MS = 70; // curves and maps need no sixty pictures a second

const MARKUP = `
  <section class="card seen" aria-labelledby="pfa-network-title">
    <div class="title"><span id="pfa-network-title">The network</span><span class="runs" role="group" aria-label="Whose network is drawn"></span>
      <button type="button" class="quiet aside look">Look at one synapse</button></div>
    <div class="drawing"><button type="button" class="quiet next">Another digit</button><div class="note"><span>← Back: error</span><b></b><p></p></div></div>
    <div class="legend">
      <span><i class="plus"></i>above zero</span><span><i class="minus"></i>below zero</span>
      <span>○ neuron</span><span>□ error</span><span>◇ mid neuron</span><span>▲ where theory says the angle ends</span>
      <span class="keys">Space: play or pause. ← →: one step</span>
    </div>
    <div class="synapse" hidden></div>
  </section>
  <div class="side">
    <section class="card plane" hidden aria-label="What the network answers in the plane"><div class="title"><span>What it answers, everywhere</span><span class="aside">Press to choose a point</span></div><div class="maps"></div></section>
    <section class="card" aria-label="Accuracy"><div class="title"><span>Accuracy on new data</span><span class="aside mean"></span></div><div class="chart upper"></div></section>
    <section class="card"><div class="title"><span class="tabs" role="group" aria-label="What this chart shows"></span></div>
      <div class="chart lower"></div><p class="legend about"></p></section>
  </div>`;

export class Stage {
  readonly root: HTMLElement;
  readonly network: Network;
  private synapse: SynapseView;
  private upper: Chart;
  private lower: Chart;
  private planes: Plane[] = [];
  private ready: Ready | null = null;
  private frame: Frame | null = null;
  private choices: StageChoices = { shown: 0, chart: "gradient", point: null, average: null };
  private sinceCharts = Infinity;
  private chartsStale = true;

  constructor(parent: HTMLElement, private look: Palette, private events: StageEvents, private scale = 1) {
    this.root = build(parent, "div", "stage", MARKUP);
    const drawing = part(this.root, ".drawing");
    this.network = new Network(drawing, look);
    this.upper = new Chart(part(this.root, ".upper"));
    this.lower = new Chart(part(this.root, ".lower"));
    this.synapse = new SynapseView(part(this.root, ".synapse"), (synapse) => this.network.mark(synapse));
    drawing.addEventListener("click", (event) => {
      if ((event.target as Element).closest("button")) return;
      const box = drawing.getBoundingClientRect();
      this.lookAt(this.network.at(event.clientX - box.left, event.clientY - box.top));
    });
    const tabs = part(this.root, ".tabs");
    for (const [name, label] of CHARTS) {
      const tab = build(tabs, "button", "", label) as HTMLButtonElement;
      [tab.type, tab.dataset.chart] = ["button", name];
      tab.addEventListener("click", () => events.chart(name));
    }
    part(this.root, ".look").addEventListener("click", () => this.lookAt(this.network.strongest()));
    part(this.root, ".next").addEventListener("click", () => events.sample(1));
    const sizes = new ResizeObserver(() => this.lay());
    sizes.observe(this.root);
    sizes.observe(drawing); // it gives room to the synapse below it
  }

  /** Another network, or another choice of what is drawn. */
  setup(ready: Ready, choices: StageChoices, look: Palette, scale: number): void {
    if (ready !== this.ready) this.frame = null;
    [this.ready, this.choices, this.look, this.scale] = [ready, choices, look, scale];
    const { runners } = ready.config;
    const runs = part(this.root, ".runs");
    runs.replaceChildren();
    runners.forEach((one, i) => {
      const button = build(runs, "button", "", `${markSvg(one.rule)}${runName(runners, i)}`) as HTMLButtonElement;
      button.type = "button";
      button.setAttribute("aria-pressed", String(i === choices.shown));
      part<SVGElement>(button, "svg").style.color = runColour(runners, i, look);
      button.addEventListener("click", () => this.events.show(i));
    });
    runs.hidden = runners.length === 1;
    say(part(this.root, "#pfa-network-title"), runners.length === 1 ? RULES[runners[0].rule].long : "The network of");
    for (const tab of this.root.querySelectorAll<HTMLElement>(".tabs button")) {
      tab.setAttribute("aria-pressed", String(tab.dataset.chart === choices.chart));
    }
    part<HTMLElement>(this.root, ".next").hidden = ready.picture === null;
    const rule = RULES[runners[choices.shown].rule];
    say(part(this.root, ".note b"), rule.feedback);
    say(part(this.root, ".note p"), rule.idea);
    this.layMaps();
    this.synapse.setup(ready, choices.shown, look);
    this.lay();
  }

  take(frame: Frame): void {
    const first = this.frame === null;
    this.frame = frame;
    this.chartsStale = true;
    this.network.take(frame, first);
  }

  /** One picture, `ms` after the last one. */
  tick(ms: number, still: boolean): void {
    if (!this.ready || !this.frame) return;
    this.network.tick(ms, still);
    this.sinceCharts += ms;
    if (!this.chartsStale || this.sinceCharts < CHART_MS) return;
    [this.chartsStale, this.sinceCharts] = [false, 0];
    const { ready, frame, choices, look, scale } = this;
    const average = choices.average && frame.step === choices.average.to ? choices.average : null;
    this.upper.draw(accuracyChart(ready, frame, choices.shown, look, average), look, scale);
    say(part(this.root, ".mean"), average ? `bars: mean of ${average.to - average.from} steps` : "");
    const lower = lowerChart(choices.chart, ready, frame, choices.shown, look, average);
    this.lower.draw(lower.data, look, scale);
    say(part(this.root, ".about"), lower.about);
    const order = [choices.shown, ...ready.config.runners.keys()].filter((i, k, all) => all.indexOf(i) === k);
    order.forEach((i, k) => {
      const { grid } = frame.runs[i];
      if (grid && this.planes[k]) this.planes[k].draw(grid, ready.sizes.at(-1)!, ready, k === 0 ? choices.point : null, look);
    });
    this.synapse.take(frame);
  }

  /** Opens a synapse up close, and brings it into sight: it stands below the drawing. */
  private lookAt(synapse: Synapse | null): void {
    this.synapse.open(synapse);
    if (synapse) part(this.root, ".synapse").scrollIntoView({ block: "nearest" });
  }

  /** Everything again: another size or theme. */
  private lay(): void {
    if (!this.ready) return;
    this.network.setup(this.ready, this.choices.shown, this.look, this.scale);
    [this.chartsStale, this.sinceCharts] = [true, Infinity];
  }

  /** One map for each run of a race; the drawn run's is large. */
  private layMaps(): void {
    const { runners, dataset } = this.ready!.config;
    part<HTMLElement>(this.root, ".plane").hidden = dataset === "digits";
    this.root.classList.toggle("toy", dataset !== "digits");
    const maps = part(this.root, ".maps");
    maps.replaceChildren();
    this.planes = [];
    if (dataset === "digits") return;
    const order = [this.choices.shown, ...runners.keys()].filter((i, k, all) => all.indexOf(i) === k);
    order.forEach((i, k) => {
      const map = build(maps, "div", k === 0 ? "map first" : "map", `<span>${runName(runners, i)}</span>`);
      this.planes.push(new Plane(map));
      map.addEventListener("click", (event) => {
        const box = map.getBoundingClientRect();
        if (k > 0) this.events.show(i);
        else this.events.point(Plane.under(event.clientX - box.left, event.clientY - box.top, box.width));
      });
    });
  }
}
