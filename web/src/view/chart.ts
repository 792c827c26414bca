/** Curves over training steps: quiet axes, the rule's own mark and name at each curve's end, nothing over the data. */

import { font, Sheet } from "./canvas";
import { drawMark } from "./marks";
import type { Palette } from "./looks";
import type { RuleName } from "../contract";

export interface Line {
  name: string;
  rule: RuleName;
  colour: string;
  /** (points, stride): column `column` is drawn. */
  values: Float32Array;
  stride: number;
  column: number;
  main: boolean;
  labelled: boolean; // one of several lines of a run carries the name
}

export interface Level {
  at: number;
  colour: string;
}

/** Steps after `from`, up to `to`. */
export interface Average {
  from: number;
  to: number;
}

export interface ChartData {
  steps: Float64Array; // (points,)
  now: number; // the step that is shown; what lies after it is drawn pale
  lines: Line[];
  average: Average | null; // a bar at each labelled curve's mean over these steps; the label tells the mean
  levels: Level[]; // horizontal, dashed: what theory says
  moment: { step: number; name: string; above: boolean } | null; // vertical, dotted; its name above or below
  low: number;
  high: number | null; // null: as high as the curves
  unit: string;
}

const MOST_POINTS = 320; // drawn of a curve

export class Chart {
  private sheet: Sheet;

  constructor(
    private box: HTMLElement,
  ) {
    this.sheet = new Sheet(box);
  }

  draw(data: ChartData, look: Palette, scale: number): void {
    const { width, height } = this.box.getBoundingClientRect();
    if (width < 40 || height < 40) return;
    this.sheet.fit(width, height);
    const { pen } = this.sheet;
    this.sheet.clear();
    const gutter = this.gutter(data, scale);
    const frame = { x0: 46 * scale, x1: width - gutter, y0: 9 * scale, y1: height - 22 * scale };
    const last = Math.max(data.steps.at(-1) ?? 0, data.now);
    const end = roundUp(Math.max(20, last));
    const high = data.high ?? topOf(data.lines);
    const x = (step: number) => frame.x0 + ((frame.x1 - frame.x0) * step) / end;
    const y = (value: number) => frame.y1 - ((frame.y1 - frame.y0) * (value - data.low)) / (high - data.low);

    pen.font = font(11 * scale);
    pen.lineWidth = 1;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (const value of ticks(data.low, high, data.unit)) {
      pen.strokeStyle = look.faint;
      pen.beginPath();
      pen.moveTo(frame.x0, y(value));
      pen.lineTo(frame.x1, y(value));
      pen.stroke();
      pen.fillStyle = look.muted;
      pen.fillText(`${Number(value.toFixed(2))}${data.unit}`, frame.x0 - 6 * scale, y(value));
    }
    pen.textBaseline = "top";
    pen.textAlign = "center";
    for (const step of [0, end / 2, end]) pen.fillText(step.toLocaleString("en"), x(step), frame.y1 + 7 * scale);

    pen.setLineDash([4, 4]);
    for (const level of data.levels) {
      pen.strokeStyle = level.colour;
      pen.beginPath();
      pen.moveTo(frame.x0, y(level.at));
      pen.lineTo(frame.x1, y(level.at));
      pen.stroke();
    }
    if (data.moment && data.moment.step > 0 && data.moment.step <= end) {
      const at = x(data.moment.step);
      pen.setLineDash([1, 4]);
      pen.strokeStyle = look.muted;
      pen.beginPath();
      pen.moveTo(at, frame.y0);
      pen.lineTo(at, frame.y1);
      pen.stroke();
      pen.textAlign = "left";
      pen.textBaseline = data.moment.above ? "top" : "bottom";
      const y = data.moment.above ? frame.y0 + 2 * scale : frame.y1 - 4 * scale;
      // Beside the line, on the side with more room, but never over the axis: a phone's chart is as narrow as the words.
      const wide = pen.measureText(data.moment.name).width;
      const left = at > (frame.x0 + frame.x1) / 2 ? at - 5 * scale - wide : at + 5 * scale;
      pen.fillText(data.moment.name, Math.max(frame.x0 + 3, Math.min(frame.x1 - wide, left)), y);
    }
    pen.setLineDash([]);

    const ends: { x: number; y: number; line: Line; value: number }[] = [];
    for (const line of [...data.lines].sort((a, b) => Number(a.main) - Number(b.main))) {
      const at = this.curve(line, data, x, y, scale, frame);
      if (!at || !line.labelled) continue;
      const mean = data.average && meanOver(line, data.steps, data.average);
      if (mean === null) {
        ends.push({ ...at, line });
        continue;
      }
      pen.strokeStyle = line.colour;
      pen.lineWidth = 5 * scale;
      pen.globalAlpha = 0.45;
      pen.beginPath();
      pen.moveTo(x(data.average!.from), y(mean));
      pen.lineTo(x(data.average!.to), y(mean));
      pen.stroke();
      pen.globalAlpha = 1;
      ends.push({ x: at.x, y: y(mean), value: mean, line });
    }
    this.names(ends, frame, look, scale, data.unit);
  }

  /** Room on the right for the longest name. */
  private gutter(data: ChartData, scale: number): number {
    const { pen } = this.sheet;
    pen.font = font(11.5 * scale, 700);
    const names = data.lines.filter((line) => line.labelled).map((line) => pen.measureText(`${line.name} 100${data.unit}`).width);
    return Math.max(40, ...names) + 14 * scale;
  }

  /** Draws one curve up to now, and palely what comes later; where it stands now. */
  private curve(
    line: Line, data: ChartData, x: (s: number) => number, y: (v: number) => number, scale: number,
    frame: { y0: number; y1: number },
  ): { x: number; y: number; value: number } | null {
    const { pen } = this.sheet;
    const count = Math.min(data.steps.length, Math.floor(line.values.length / line.stride));
    const jump = Math.max(1, Math.ceil(count / MOST_POINTS));
    const value = (k: number) => line.values[k * line.stride + line.column];
    const held = (v: number) => Math.max(frame.y0 - 2, Math.min(frame.y1 + 2, y(v)));
    let now: { x: number; y: number; value: number } | null = null;
    pen.strokeStyle = line.colour;
    pen.lineWidth = (line.labelled ? (line.main ? 2.6 : 2) : 1.1) * scale;
    pen.lineJoin = "round";
    for (const later of [false, true]) {
      let begun = false;
      pen.globalAlpha = later ? 0.25 : line.labelled ? 1 : 0.6;
      pen.beginPath();
      for (let k = 0; k < count; k += k + jump < count ? jump : Math.max(1, count - 1 - k)) {
        const isLater = data.steps[k] > data.now;
        const v = value(k);
        if (!Number.isFinite(v)) continue;
        if (later && !isLater) {
          pen.moveTo(x(data.steps[k]), held(v)); // the pale part begins where the other ends
          begun = true;
        } else if (later === isLater) {
          if (begun) pen.lineTo(x(data.steps[k]), held(v));
          else pen.moveTo(x(data.steps[k]), held(v));
          begun = true;
        }
        if (!isLater) now = { x: x(data.steps[k]), y: held(v), value: v };
      }
      pen.stroke();
    }
    pen.globalAlpha = 1;
    return now;
  }

  /** Marks and names at the curves' ends, moved apart where they would overlap. */
  private names(
    ends: { x: number; y: number; line: Line; value: number }[], frame: { x1: number; y0: number; y1: number },
    look: Palette, scale: number, unit: string,
  ): void {
    const { pen } = this.sheet;
    const gap = 14 * scale;
    const sorted = [...ends].sort((a, b) => a.y - b.y);
    const places = sorted.map((end) => end.y);
    for (let k = 1; k < places.length; k++) places[k] = Math.max(places[k], places[k - 1] + gap);
    const over = (places.at(-1) ?? 0) - frame.y1;
    if (over > 0) {
      for (let k = places.length - 1; k >= 0; k--) {
        const most = k === places.length - 1 ? frame.y1 : places[k + 1] - gap;
        places[k] = Math.min(places[k], most);
      }
    }
    sorted.forEach((end, k) => {
      drawMark(pen, end.line.rule, end.x, end.y, 4.2 * scale, end.line.colour, look.paper);
      pen.font = font(11.5 * scale, end.line.main ? 700 : 500);
      pen.fillStyle = look.ink;
      pen.textAlign = "left";
      pen.textBaseline = "middle";
      const told = `${end.line.name} ${end.value.toFixed(end.value < 9.95 ? 1 : 0)}${unit}`;
      pen.fillText(told, Math.min(end.x + 9 * scale, frame.x1 + 8 * scale), places[k]);
    });
  }
}

/** The mean of a curve's points within `average`. */
function meanOver(line: Line, steps: Float64Array, { from, to }: Average): number | null {
  const inside = Array.from(steps.keys()).filter((k) => steps[k] > from && steps[k] <= to);
  const sum = inside.reduce((total, k) => total + line.values[k * line.stride + line.column], 0);
  return inside.length ? sum / inside.length : null;
}

function ticks(low: number, high: number, unit: string): number[] {
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 15, 25, 50].find((one) => (high - low) / one <= 4.2) ?? (high - low) / 4;
  const many = unit === "°" ? (high > 120 ? 45 : 30) : step;
  return Array.from({ length: Math.floor((high - low) / many + 1e-6) + 1 }, (_, k) => low + k * many);
}

/** The next of 1, 2, 5 · 10ⁿ halves, so that the axis seldom changes. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((one) => one * power).find((one) => one >= value) ?? 10 * power;
}

function topOf(lines: Line[]): number {
  let top = 0;
  for (const line of lines) for (const value of line.values) if (value > top && value < 1e4) top = value;
  return roundUp(Math.max(0.1, top));
}
