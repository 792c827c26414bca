/** One call for each picture that the screen shows, and how many of them there were in the last second. */

export class Loop {
  count = 0; // pictures so far
  private times: number[] = [];
  private last = performance.now();

  constructor(private draw: (ms: number, now: number) => void) {
    requestAnimationFrame((now) => this.tick(now));
  }

  /** Pictures in the last second. */
  get rate(): number {
    const now = performance.now();
    return this.times.filter((time) => time > now - 1000).length;
  }

  private tick(now: number): void {
    const ms = Math.min(100, Math.max(0, now - this.last)); // after a pause of the tab: no leap
    this.last = now;
    this.times.push(now);
    while (this.times[0] < now - 1000) this.times.shift();
    this.draw(ms, now);
    this.count++;
    requestAnimationFrame((next) => this.tick(next));
  }
}
