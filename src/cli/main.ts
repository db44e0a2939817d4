/** The program's entry point: nothing but wiring to this process. */
import { runCommandLine } from './command-line.ts';

// No `await` here: this is also a part of the one file of quick commands, which is not a module.
void runCommandLine(process.argv.slice(2), process).then((status) => {
  // Output is flushed by now; what still keeps the process alive (an idle connection) does not count.
  process.exit(status);
});
