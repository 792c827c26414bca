/** The digit that is shown, pixel by pixel, in the page's ink. */

import type { Box } from "./layout";
import type { Palette } from "./looks";

/** `pixels` (rows · columns), in whatever units they are trained on: the darkest is ink, the palest paper. */
export function drawPicture(
  pen: CanvasRenderingContext2D, box: Box, pixels: Float32Array, [rows, columns]: [number, number], look: Palette,
): void {
  let [low, high] = [Infinity, -Infinity];
  for (const value of pixels) [low, high] = [Math.min(low, value), Math.max(high, value)];
  const side = box.width / columns;
  pen.fillStyle = look.faint;
  pen.fillRect(box.x, box.y, box.width, box.height);
  pen.fillStyle = look.ink;
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const share = (pixels[r * columns + c] - low) / (high - low || 1);
      if (share < 0.03) continue;
      pen.globalAlpha = share;
      pen.fillRect(box.x + c * side, box.y + r * side, side + 0.3, side + 0.3);
    }
  }
  pen.globalAlpha = 1;
  pen.strokeStyle = look.line;
  pen.lineWidth = 1;
  pen.strokeRect(box.x + 0.5, box.y + 0.5, box.width - 1, box.height - 1);
}
