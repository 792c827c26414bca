/** A canvas that fills its box and is sharp on dense screens. */

export class Sheet {
  readonly canvas: HTMLCanvasElement;
  readonly pen: CanvasRenderingContext2D;
  width = 0; // in the page's pixels, as everything that is drawn here
  height = 0;

  constructor(parent: HTMLElement, className = "") {
    this.canvas = document.createElement("canvas");
    this.canvas.className = className;
    this.canvas.setAttribute("aria-hidden", "true"); // what it shows is said in words beside it
    parent.append(this.canvas);
    this.pen = this.canvas.getContext("2d")!;
  }

  /** Takes the size of the box; whether it changed, so that everything must be drawn again. */
  fit(width: number, height: number): boolean {
    const dense = Math.min(2, window.devicePixelRatio || 1); // beyond 2 nobody sees it, and every picture costs more
    const [w, h] = [Math.round(width * dense), Math.round(height * dense)];
    if (w === this.canvas.width && h === this.canvas.height && width === this.width) return false;
    [this.width, this.height] = [width, height];
    [this.canvas.width, this.canvas.height] = [w, h];
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.pen.setTransform(dense, 0, 0, dense, 0, 0);
    return true;
  }

  clear(): void {
    this.pen.clearRect(0, 0, this.width, this.height);
  }
}

/** The font of everything written on a canvas: the page's own. `scale` is 1, or more in a lecture hall. */
export function font(size: number, weight = 400): string {
  return `${weight} ${size}px ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif`;
}
