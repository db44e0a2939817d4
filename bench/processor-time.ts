/** Processor time of other processes. */
import { readFileSync } from 'node:fs';

/** Clock ticks of Linux in a second, as all of its architectures tell them. */
const ticksPerSecond = 100;

/** Seconds that child processes which have ended took, and theirs. Linux only; elsewhere not a number. */
export function childrenSeconds(): number {
  try {
    // The name in the second field may hold anything; the third field comes after its last bracket.
    const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    const [user, system] = [fields[13], fields[14]];
    return (Number(user) + Number(system)) / ticksPerSecond;
  } catch {
    return Number.NaN;
  }
}
