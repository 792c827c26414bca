/** What a network answers all over the plane: colours for its classes, and the training points on top. */

import type { Ready } from "../contract";
import { Sheet } from "./canvas";
import type { Palette } from "./looks";

const REACH = 1.25; // the map shows [-1.25, 1.25]²

export class Plane {
  private map: Sheet;
  private dots: Sheet;
  private small = document.createElement("canvas"); // one pixel a cell; scaled up smoothly
  private drawnFor = ""; // what the dots were drawn for

  constructor(private box: HTMLElement) {
    this.map = new Sheet(box, "base");
    this.dots = new Sheet(box, "over");
  }

  /** `grid` (side, side, classes) probabilities, row 0 at the bottom. */
  draw(grid: Float32Array, classes: number, ready: Ready, point: [number, number] | null, look: Palette): void {
    const { width } = this.box.getBoundingClientRect();
    if (width < 30) return;
    const resized = [this.map.fit(width, width), this.dots.fit(width, width)].some(Boolean);
    const side = Math.round(Math.sqrt(grid.length / classes));
    [this.small.width, this.small.height] = [side, side];
    const pen = this.small.getContext("2d")!;
    const image = pen.createImageData(side, side);
    const [paper, ...colours] = [look.paper, ...look.classes].map(rgb);
    for (let r = 0; r < side; r++) {
      for (let c = 0; c < side; c++) {
        const cell = (r * side + c) * classes;
        const at = 4 * ((side - 1 - r) * side + c); // the picture's first row is its upper one
        for (let channel = 0; channel < 3; channel++) {
          let value = 0;
          for (let k = 0; k < classes; k++) value += grid[cell + k] * (0.45 * colours[k][channel] + 0.55 * paper[channel]);
          image.data[at + channel] = value;
        }
        image.data[at + 3] = 255;
      }
    }
    pen.putImageData(image, 0, 0);
    this.map.pen.imageSmoothingEnabled = true;
    this.map.pen.imageSmoothingQuality = "high";
    this.map.pen.drawImage(this.small, 0, 0, width, width);
    const key = `${look.dark} ${width} ${ready.config.seed} ${ready.config.dataset} ${point}`;
    if (resized || key !== this.drawnFor) this.drawDots(ready, point, look);
    this.drawnFor = key;
  }

  /** The point of the plane under a pixel of the box. */
  static under(x: number, y: number, width: number): [number, number] {
    return [(2 * REACH * x) / width - REACH, REACH - (2 * REACH * y) / width];
  }

  private drawDots(ready: Ready, point: [number, number] | null, look: Palette): void {
    const { pen, width } = this.dots;
    this.dots.clear();
    const place = (x: number, y: number) => [((x + REACH) / (2 * REACH)) * width, ((REACH - y) / (2 * REACH)) * width];
    const { x, y } = ready.points!;
    const radius = Math.max(1.3, Math.min(3.4, width / 110));
    pen.lineWidth = 0.8;
    pen.strokeStyle = look.paper;
    for (let k = 0; k < y.length; k++) {
      const [px, py] = place(x[2 * k], x[2 * k + 1]);
      pen.fillStyle = look.classes[y[k]];
      pen.beginPath();
      pen.arc(px, py, radius, 0, 2 * Math.PI);
      pen.fill();
      pen.stroke();
    }
    if (!point) return;
    const [px, py] = place(point[0], point[1]);
    pen.strokeStyle = look.ink;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(px, py, radius + 4, 0, 2 * Math.PI);
    pen.stroke();
  }
}

function rgb(colour: string): [number, number, number] {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)) as [number, number, number];
}
