/** Why an agent that is there gets no more builds for now. */
import type { AgentLoad } from './types.ts';

/** An agent that is connected but says nothing gets no more. Milliseconds. */
const staleMs = 60_000;

const pressures = [
  ['processor', 'cpuPressure'],
  ['memory', 'memoryPressure'],
  ['disk', 'ioPressure'],
] as const;

/** In words, for people; undefined: it gets builds. `limit`: per cent of pressure that is still well. */
export function withheldFrom(
  load: AgentLoad | undefined,
  silentMs: number,
  limit: number,
): string | undefined {
  if (silentMs >= staleMs) return `no heartbeat for ${staleMs / 1000} s`;
  const high = pressures.flatMap(([name, figure]) => {
    const share = load?.[figure] ?? 0;
    return share > limit ? [`${name} pressure ${roundedUp(share)} % for 10 s`] : [];
  });
  return high.length === 0 ? undefined : `${high.join(', ')}; the limit is ${limit} %`;
}

/** So that what is above a limit also reads so. */
function roundedUp(share: number): number {
  return Math.ceil(share);
}
