/** Who a process is, beyond its pid, which the kernel gives to others later. */
import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';

export interface ProcessIdentity {
  readonly host: string;
  /** Different after every boot; empty where the system does not tell. */
  readonly bootId: string;
  /** Processes see each other's pids only inside one namespace (container). */
  readonly pidNamespace: string;
  readonly pid: number;
  /** Start time in clock ticks since boot; empty where the system does not tell. */
  readonly pidStarted: string;
}

/** The identity of this process. */
export async function identifySelf(): Promise<ProcessIdentity> {
  return {
    host: hostname(),
    bootId: await textOf('/proc/sys/kernel/random/boot_id'),
    pidNamespace: await readlink('/proc/self/ns/pid').catch(() => ''),
    pid: process.pid,
    pidStarted: (await startOf(process.pid)) ?? '',
  };
}

/** Whether both live on the same machine, boot and pid namespace, so that pids can be compared. */
export function canJudge(self: ProcessIdentity, other: ProcessIdentity): boolean {
  return self.host === other.host && self.bootId === other.bootId && self.pidNamespace === other.pidNamespace;
}

/** Whether that very process runs. Only meaningful where `canJudge` holds. */
export async function isAlive(process_: Pick<ProcessIdentity, 'pid' | 'pidStarted'>): Promise<boolean> {
  if (!pidExists(process_.pid)) return false;
  if (process_.pidStarted === '') return true;
  return (await startOf(process_.pid)) === process_.pidStarted;
}

/** Whether any process has this pid. One that may not be signalled exists, too. */
export function pidExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** Field 22 of /proc/PID/stat (proc(5)); undefined for a zombie or where there is no /proc. */
async function startOf(pid: number): Promise<string | undefined> {
  const stat = await textOf(`/proc/${pid}/stat`);
  // The second field is the program's name in parentheses and may hold anything.
  const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return state === 'Z' || state === 'X' ? undefined : fields[18];
}

async function textOf(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.trim();
}
