/** The program's entry point: nothing but wiring to this process. */
import { runCommandLine } from './command-line.ts';

process.exitCode = await runCommandLine(process.argv.slice(2), process);
// Output is flushed by now; what still keeps the process alive (an idle connection) does not count.
process.exit();
