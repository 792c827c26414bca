/** The parts of the network's drawing that are not synapses: neurons, errors, mid neurons, the digit, dials, words. */

import type { Frame, Ready, RunFrame } from "../contract";
import { font } from "./canvas";
import { drawDial } from "./dial";
import { NARROW, type Layout } from "./layout";
import { RULES, type Palette } from "./looks";
import { drawPicture } from "./picture";

export interface Drawn {
  place: Layout;
  ready: Ready;
  frame: Frame;
  run: RunFrame;
  shown: number;
  colours: string[]; // [runner]
  look: Palette;
  isDirect: boolean;
}

/** What lies behind the synapses: the water line and the words at both paths. */
export function drawBackdrop(pen: CanvasRenderingContext2D, d: Drawn): void {
  const { place, look } = d;
  const { scale: s } = place;
  pen.strokeStyle = look.line;
  pen.lineWidth = 1;
  pen.setLineDash([2, 5]);
  pen.beginPath();
  pen.moveTo(0, place.axis);
  pen.lineTo(place.width, place.axis);
  pen.stroke();
  pen.setLineDash([]);

  pen.textBaseline = "middle";
  pen.textAlign = "left";
  pen.fillStyle = look.ink;
  pen.font = font(12.5 * s, 600);
  pen.fillText("Forward: activity →", 0, 9 * s);
  const wordsEnd = pen.measureText("Forward: activity →").width + 8 * s;
  const narrow = place.width < NARROW; // then the rule's words stand below, else beside the network: see .note
  const { feedback } = RULES[d.ready.config.runners[d.shown].rule];
  if (narrow) pen.fillText(`← Back: error, ${feedback}`, 0, place.height - 7 * s);
  pen.fillStyle = look.muted;

  pen.textAlign = "center";
  pen.font = font(11 * s);
  place.columns.forEach((column, c) => {
    if (c === 0 || c === place.columns.length - 1) return;
    const wide = column.x - place.columns[c - 1].x > 84 * s;
    const told = wide ? `${column.total} neurons` : `${column.total}`;
    if (column.x - pen.measureText(told).width / 2 > wordsEnd) pen.fillText(told, column.x, 9 * s);
  });
}

/** Column `c` of the forward path, or its glow (0 to 1) when the wave of activity passes. */
export function drawNeurons(pen: CanvasRenderingContext2D, d: Drawn, c: number, glow: number | null): void {
  const { place, look, run } = d;
  const column = place.columns[c];
  const last = c === place.columns.length - 1;
  if (c === 0 && place.picture) {
    if (glow === null) drawPicture(pen, place.picture, run.activations[0], d.ready.picture!, look);
    return;
  }
  const values = run.activations[c];
  const most = Math.max(1e-9, ...column.units.map((unit) => Math.abs(values[unit] ?? 0)));
  column.units.forEach((unit, k) => {
    const [x, y, share] = [column.x, column.up[k], Math.abs(values[unit] ?? 0) / (last ? 1 : most)];
    pen.beginPath();
    pen.arc(x, y, place.radius + (glow ?? 0) * 2.5, 0, 2 * Math.PI);
    if (glow !== null) {
      pen.globalAlpha = glow * share;
      pen.strokeStyle = look.ink;
      pen.lineWidth = 2;
      pen.stroke();
      pen.globalAlpha = 1;
      return;
    }
    pen.fillStyle = look.paper;
    pen.fill();
    pen.globalAlpha = 0.85 * share;
    pen.fillStyle = look.ink;
    pen.fill();
    pen.globalAlpha = 1;
    pen.strokeStyle = look.muted;
    pen.lineWidth = 1;
    pen.stroke();
    if (last) answer(pen, d, unit, y, share);
  });
}

/** An output's class, and a bar as long as its probability; the true class is set in bold. */
function answer(pen: CanvasRenderingContext2D, d: Drawn, unit: number, y: number, share: number): void {
  const { place, look } = d;
  const s = place.scale;
  const x = place.columns.at(-1)!.x + place.radius + 6 * s;
  const truth = unit === d.frame.label;
  const apart = place.columns.at(-1)!.apart;
  pen.font = font(Math.min(11.5 * s, 0.95 * apart), truth ? 750 : 400);
  pen.fillStyle = truth ? look.ink : look.muted;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.fillText(String(unit), x, y + 0.5);
  pen.fillStyle = truth ? look.ink : look.muted;
  pen.fillRect(x + 13 * s, y - 2.5 * s, Math.max(1, 40 * s * share), Math.min(5 * s, 0.6 * apart));
}

/** The errors below column `c`, squares in the colour of their sign; or their glow. Below the input there are none. */
export function drawErrors(pen: CanvasRenderingContext2D, d: Drawn, c: number, glow: number | null): void {
  if (c === 0) return;
  const { place, look, run } = d;
  const column = place.columns[c];
  if (glow === null && !d.isDirect) drawMids(pen, d, c - 1);
  const values = run.errors[c];
  const most = Math.max(1e-12, ...column.units.map((unit) => Math.abs(values[unit] ?? 0)));
  column.units.forEach((unit, k) => {
    const value = values[unit] ?? 0;
    const half = place.radius * 0.88 + (glow ?? 0) * 2.5;
    const [x, y, share] = [column.x - half, column.down[k] - half, Math.abs(value) / most];
    pen.strokeStyle = glow === null ? look.muted : value > 0 ? look.plus : look.minus;
    pen.lineWidth = glow === null ? 1 : 2;
    if (glow === null) {
      pen.fillStyle = look.paper;
      pen.fillRect(x, y, 2 * half, 2 * half);
      pen.globalAlpha = 0.9 * share;
      pen.fillStyle = value > 0 ? look.plus : look.minus;
      pen.fillRect(x, y, 2 * half, 2 * half);
    }
    pen.globalAlpha = glow === null ? 1 : glow * share;
    pen.strokeRect(x, y, 2 * half, 2 * half);
    pen.globalAlpha = 1;
  });
}

/** PFA's mid neurons, diamonds; many more than are drawn. */
function drawMids(pen: CanvasRenderingContext2D, d: Drawn, layer: number): void {
  const mid = d.place.mids[layer];
  if (mid.y.length === 0) return;
  const half = d.place.radius * 0.85;
  pen.fillStyle = d.look.paper;
  pen.strokeStyle = d.colours[d.shown];
  pen.lineWidth = 1.4;
  for (const y of mid.y) {
    pen.beginPath();
    pen.moveTo(mid.x, y - half);
    pen.lineTo(mid.x + half, y);
    pen.lineTo(mid.x, y + half);
    pen.lineTo(mid.x - half, y);
    pen.closePath();
    pen.fill();
    pen.stroke();
  }
  const count = d.ready.mids[d.shown][layer];
  const gap = 2 * (d.place.columns[layer + 1].x - mid.x);
  if (gap < 60 * d.place.scale) return; // no room for the number
  pen.font = font(11 * d.place.scale);
  pen.fillStyle = d.look.muted;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(`${count} mid`, mid.x, Math.max(...mid.y) + half + 8 * d.place.scale);
}

/** The angles as they are drawn: [runner][layer]. */
export function drawDials(pen: CanvasRenderingContext2D, d: Drawn, angles: number[][]): void {
  for (const dial of d.place.dials) {
    const hands = angles.map((layers, i) => ({
      angle: layers[dial.layer], floor: d.ready.floors[i][dial.layer], colour: d.colours[i], main: i === d.shown,
    }));
    drawDial(pen, dial.x, dial.y, dial.radius, dial.room, hands, d.look, d.place.scale);
  }
}
