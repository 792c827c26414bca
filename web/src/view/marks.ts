/** The rules' marks, as in the package's figures: a second sign beside the colour. */

import type { RuleName } from "../contract";

/** [x, y] corners around the middle, in units of the size; an empty list: a circle. */
const SHAPES: Record<RuleName, [number, number][]> = {
  bp: [],
  fa: [[-1, -0.85], [1, -0.85], [0, 1]],
  dfa: [[-0.85, -0.85], [0.85, -0.85], [0.85, 0.85], [-0.85, 0.85]],
  sf: star(5),
  kp: cross(),
  pfa: [[0, -1.15], [1.15, 0], [0, 1.15], [-1.15, 0]],
  "pfa-o": [[-1, 0.85], [1, 0.85], [0, -1]],
};

export function drawMark(
  pen: CanvasRenderingContext2D, rule: RuleName, x: number, y: number, size: number, colour: string, edge: string,
): void {
  pen.beginPath();
  if (SHAPES[rule].length === 0) pen.arc(x, y, size, 0, 2 * Math.PI);
  SHAPES[rule].forEach(([dx, dy], k) => (k ? pen.lineTo(x + dx * size, y + dy * size) : pen.moveTo(x + dx * size, y + dy * size)));
  pen.closePath();
  pen.fillStyle = colour;
  pen.fill();
  pen.strokeStyle = edge;
  pen.lineWidth = 1;
  pen.stroke();
}

/** The same marks for buttons, as an SVG picture that takes the text's colour around it. */
export function markSvg(rule: RuleName): string {
  const points = SHAPES[rule].map(([x, y]) => `${(x * 5 + 7).toFixed(1)},${(y * 5 + 7).toFixed(1)}`).join(" ");
  const shape = points ? `<polygon points="${points}"/>` : '<circle cx="7" cy="7" r="5"/>';
  return `<svg class="mark" viewBox="0 0 14 14" width="14" height="14" aria-hidden="true">${shape}</svg>`;
}

function star(points: number): [number, number][] {
  return Array.from({ length: 2 * points }, (_, k) => {
    const [far, angle] = [k % 2 ? 0.58 : 1.4, (Math.PI * k) / points - Math.PI / 2];
    return [far * Math.cos(angle), far * Math.sin(angle)];
  });
}

function cross(): [number, number][] {
  const [a, b] = [0.42, 1.2];
  const upright: [number, number][] = [
    [-a, -b], [a, -b], [a, -a], [b, -a], [b, a], [a, a], [a, b], [-a, b], [-a, a], [-b, a], [-b, -a], [-a, -a],
  ];
  return upright.map(([x, y]) => [(x - y) * Math.SQRT1_2, (x + y) * Math.SQRT1_2]);
}
