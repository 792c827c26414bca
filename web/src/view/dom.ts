/** Two small helpers for building the page: markup in, parts out. */

export function build(parent: HTMLElement, tag: string, className: string, markup: string): HTMLElement {
  const made = document.createElement(tag);
  made.className = className;
  made.innerHTML = markup; // the page's own text, never a reader's: what comes from a link goes through textContent
  parent.append(made);
  return made;
}

/** The element that `selector` names inside `root`; it has to be there. */
export function part<T extends Element = HTMLElement>(root: ParentNode, selector: string): T {
  const found = root.querySelector<T>(selector);
  if (!found) throw new Error(`the page has no ${selector}`);
  return found;
}

/** Sets text only where it changes: screen readers and the browser's layout then stay at rest. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Options for a <select>. */
export function options(pairs: [string, string][]): string {
  return pairs.map(([value, label]) => `<option value="${value}">${label}</option>`).join("");
}
