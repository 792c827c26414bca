/** The playground's trainer: a worker of this page's own, started from text, since file:// may load no worker. */
import source from "worker-source";
import type { Command, Message, Trainer } from "./contract";

export function localTrainer(): Trainer {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const worker = new Worker(url);
  return {
    send: (command: Command) => worker.postMessage(command),
    listen: (hear: (message: Message) => void) => {
      worker.onmessage = (event: MessageEvent<Message>) => hear(event.data);
      worker.onerror = (event) => hear({ type: "failure", message: `The training stopped: ${event.message}` });
    },
  };
}
