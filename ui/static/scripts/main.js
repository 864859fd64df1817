import { startCopying } from "./copying.js";
import { startDialogs } from "./dialogs.js";
import { startFilter } from "./filter.js";
import { startForms } from "./forms.js";
import { startKeyboard } from "./keyboard.js";
import { startLiveFragments } from "./live.js";
import { startLogs } from "./log.js";
import { startReveals } from "./reveal.js";
import { startTheme } from "./theme.js";
import { startTimes } from "./times.js";

// Every page works without this module; it makes what is there quicker and live.
document.documentElement.classList.add("has-script");
startTheme();
startDialogs();
startForms();
startKeyboard();
startTimes();
startFilter();
startCopying();
startReveals();
startLogs();
startLiveFragments();
