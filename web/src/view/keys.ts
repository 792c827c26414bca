/** Space plays and pauses, the right arrow makes one step, the left arrow goes one back, wherever the reader is. */

import type { Transport } from "./transport";

export function listenToKeys(transport: Transport): void {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.target as HTMLElement;
    if (event.key === " " && !usesSpace(target)) transport.toggle();
    else if (event.key === "ArrowRight" && !usesArrows(target)) transport.step(1);
    else if (event.key === "ArrowLeft" && !usesArrows(target)) transport.step(-1);
    else return;
    event.preventDefault(); // the page does not scroll
  });
  // A mouse leaves the focus on the button it pressed, where the space bar would press it again.
  document.addEventListener("click", (event) => {
    if (event.detail > 0) (event.target as HTMLElement).closest<HTMLElement>("button, summary, label.rule")?.blur();
  });
}

/** Elements on which the space bar has a meaning of its own. A slider and a radio button that is set have none. */
function usesSpace(target: HTMLElement): boolean {
  return target.matches("button, summary, select, textarea, a, input:not([type=range], [type=radio]:checked)");
}

function usesArrows(target: HTMLElement): boolean {
  return target.matches("input, select, textarea");
}
