/** The page begins here. */

import { localTrainer } from "../local";
import { Playground } from "./playground";

const playground = new Playground(document.getElementById("page")!, localTrainer());

/** For tests and for the curious, in the browser's console. */
Object.assign(window, { playground });
