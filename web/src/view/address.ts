/** The browser's address: it follows the state now and then, and a link that is typed or pasted into it is heard. */

const EVERY_MS = 400; // browsers take only so many changes of the address

export class Address {
  private known = this.now; // as this page wrote or read it last
  private at = 0;

  constructor(private open: (link: string) => void) {
    window.addEventListener("hashchange", () => {
      if (this.now === this.known) return;
      this.known = this.now;
      this.open(this.known);
    });
  }

  get now(): string {
    return location.hash.replace(/^#/, "");
  }

  /** Writes a link, unless nothing is new: an address that was just typed stays, and is about to be heard. */
  write(link: () => string, now: number): void {
    if (now - this.at < EVERY_MS || this.isNotebook) return;
    this.at = now;
    const text = link();
    if (text === this.known) return;
    this.known = text;
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }

  /** Inside a notebook's cell the page has no address. */
  get isNotebook(): boolean {
    return location.protocol === "about:";
  }
}
