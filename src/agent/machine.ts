/** What is known of the machine: an id that stays, and how busy it is. */
import { randomUUID } from 'node:crypto';
import { readFile, statfs, writeFile } from 'node:fs/promises';
import { availableParallelism, freemem, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { LoadSchema } from '../agent-protocol/index.ts';
import { makeFolder } from '../basics/index.ts';

/** The id in the agent's folder, made when there is none. */
export async function machineId(stateDir: string): Promise<string> {
  await makeFolder(stateDir, 0o700);
  const file = join(stateDir, 'machine-id');
  const known = (await readFile(file, 'utf8').catch(() => '')).trim();
  if (/^[\w-]{1,64}$/.test(known)) return known;
  const fresh = randomUUID();
  await writeFile(file, `${fresh}\n`);
  return fresh;
}

/** Measures now. What this machine does not tell is left out. */
export async function measureLoad(realStoreDir: string): Promise<MessageInitShape<typeof LoadSchema>> {
  const [disk, meminfo, cpu, memory, io] = await Promise.all([
    statfs(realStoreDir).catch(() => undefined),
    readFile('/proc/meminfo', 'utf8').catch(() => ''),
    pressure('cpu'),
    pressure('memory'),
    pressure('io'),
  ]);
  const [load1 = 0, load5 = 0, load15 = 0] = loadavg();
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(meminfo)?.[1];
  return {
    load1,
    load5,
    load15,
    cores: availableParallelism(),
    memoryTotalBytes: BigInt(totalmem()),
    memoryAvailableBytes: available === undefined ? BigInt(freemem()) : BigInt(available) * 1024n,
    ...(disk && { storeFreeBytes: BigInt(disk.bavail) * BigInt(disk.bsize) }),
    ...(cpu !== undefined && { cpuPressure: cpu }),
    ...(memory !== undefined && { memoryPressure: memory }),
    ...(io !== undefined && { ioPressure: io }),
  };
}

/** Per cent of the last ten seconds in which something waited for it. */
async function pressure(resource: 'cpu' | 'memory' | 'io'): Promise<number | undefined> {
  const text = await readFile(`/proc/pressure/${resource}`, 'utf8').catch(() => '');
  const found = /^some avg10=([\d.]+)/m.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}
