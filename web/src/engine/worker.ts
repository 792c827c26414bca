/** The player in a worker of the page: messages in, messages out, and a clock. */
import type { Command, Message } from "../contract";
import { buffers } from "./frames";
import { Player } from "./player";

/** What a worker's global scope offers; the types of a page's and of a worker's do not go together. */
const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<Command>) => void;
  postMessage(message: Message, transfer?: ArrayBuffer[]): void;
};

const player = new Player(tell, () => performance.now());
// A timer waits four milliseconds at least; a message to oneself comes as soon as those of the page have been heard.
const again = new MessageChannel();
let waiting = false, timer: ReturnType<typeof setTimeout> | undefined;

scope.onmessage = (event) => {
  player.obey(event.data);
  soon();
};

again.port1.onmessage = () => {
  waiting = false;
  const wait = player.turn();
  if (wait === 0) soon();
  else if (wait !== null) timer = setTimeout(soon, wait);
};

function soon(): void {
  clearTimeout(timer);
  if (waiting) return;
  waiting = true;
  again.port2.postMessage(null);
}

function tell(message: Message): void {
  if (message.type === "failure") scope.postMessage(message);
  else scope.postMessage(message, buffers(message));
}
