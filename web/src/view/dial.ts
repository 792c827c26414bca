/**
 * A dial on the water line: the angle between W above and F below, one hand for every run.
 *
 * The flat edge stands for W. A hand that lies on it is a copy; one that stands upright has nothing to do with W. The
 * open triangle outside the arc is where theory says a hand ends.
 */

import { font } from "./canvas";
import type { Palette } from "./looks";

export interface Hand {
  angle: number; // as drawn, degrees
  floor: number | null; // degrees
  colour: string;
  main: boolean; // of the run whose network is drawn
}

/** `x`, `y`: the dial's corner, where the hands turn. `room`: how far to the right the next dial stands. */
export function drawDial(
  pen: CanvasRenderingContext2D, x: number, y: number, radius: number, room: number, hands: Hand[], look: Palette, scale: number,
): void {
  pen.fillStyle = look.paper;
  pen.strokeStyle = look.line;
  pen.lineWidth = 1.2;
  pen.beginPath();
  pen.moveTo(x, y);
  pen.arc(x, y, radius, 0, -Math.PI / 2, true);
  pen.closePath();
  pen.fill();
  pen.stroke();
  for (let degrees = 15; degrees < 90; degrees += 15) tick(pen, x, y, radius, degrees, degrees === 45 ? 7 : 4);

  // Theory's mark of the drawn run alone: another run's would be read as this one's.
  const drawn = hands.find((hand) => hand.main);
  if (drawn && drawn.floor !== null && Number.isFinite(drawn.floor)) floorMark(pen, x, y, radius, room, drawn, look, scale);
  for (const hand of [...hands].sort((a, b) => Number(a.main) - Number(b.main))) {
    if (!Number.isFinite(hand.angle)) continue;
    const [dx, dy] = direction(hand.angle);
    const long = radius - 3;
    if (hand.main) {
      pen.fillStyle = hand.colour;
      pen.globalAlpha = 0.16;
      pen.beginPath();
      pen.moveTo(x, y);
      pen.arc(x, y, long, 0, (-hand.angle * Math.PI) / 180, true);
      pen.closePath();
      pen.fill();
      pen.globalAlpha = 1;
    }
    pen.strokeStyle = hand.colour;
    pen.lineWidth = (hand.main ? 3.4 : 2) * scale;
    pen.lineCap = "round";
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(x + dx * long, y - dy * long);
    pen.stroke();
    pen.lineCap = "butt";
  }
  pen.fillStyle = look.ink;
  pen.beginPath();
  pen.arc(x, y, 2.6 * scale, 0, 2 * Math.PI);
  pen.fill();

  pen.textAlign = "center";
  pen.textBaseline = "top";
  pen.fillStyle = look.ink;
  pen.font = font(Math.max(10, Math.min(15 * scale, radius * 0.6)), 650);
  const told = drawn && Number.isFinite(drawn.angle) ? `${drawn.angle.toFixed(drawn.angle < 10 ? 1 : 0)}°` : "no F";
  pen.fillText(told, x + radius / 2, y + 6 * scale);
}

function tick(pen: CanvasRenderingContext2D, x: number, y: number, radius: number, degrees: number, long: number): void {
  const [dx, dy] = direction(degrees);
  pen.beginPath();
  pen.moveTo(x + dx * radius, y - dy * radius);
  pen.lineTo(x + dx * (radius - long), y - dy * (radius - long));
  pen.stroke();
}

/** A triangle outside the arc, its tip on the angle of theory, and the number where it has room. */
function floorMark(
  pen: CanvasRenderingContext2D, x: number, y: number, radius: number, room: number, hand: Hand, look: Palette, scale: number,
): void {
  const [dx, dy] = direction(hand.floor!);
  const [tip, foot, half] = [radius + 1.5, radius + 9 * scale, 4 * scale];
  pen.fillStyle = hand.colour;
  pen.beginPath();
  pen.moveTo(x + dx * tip, y - dy * tip);
  pen.lineTo(x + dx * foot - dy * half, y - dy * foot - dx * half);
  pen.lineTo(x + dx * foot + dy * half, y - dy * foot + dx * half);
  pen.closePath();
  pen.fill();
  pen.font = font(11 * scale);
  pen.fillStyle = look.muted;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  const out = foot + 4 * scale;
  const told = `${hand.floor!.toFixed(1)}°`;
  const fits = dx * out + pen.measureText(told).width < room - 4;
  if (radius >= 20 && fits) pen.fillText(told, x + dx * out, y - dy * out);
}

function direction(degrees: number): [number, number] {
  const angle = (Math.min(degrees, 180) * Math.PI) / 180;
  return [Math.cos(angle), Math.sin(angle)];
}
