/** The machines that build. */
import { z } from 'zod';
import { type Reader, readRows } from './reader.ts';
import { visibleUnfinished } from './visible-builds.ts';

const figure = z.number().optional();
/** What an agent tells of its machine; what is not there it does not know. */
export const loadShape = z.object({
  load1: figure,
  cores: figure,
  memoryTotalBytes: figure,
  memoryAvailableBytes: figure,
  storeFreeBytes: figure,
  cpuPressure: figure,
  memoryPressure: figure,
  ioPressure: figure,
});

export const builderKinds = ['local', 'ssh', 'agent'] as const;

const builderShape = z.object({
  id: z.number(),
  name: z.string(),
  kind: z.enum(builderKinds),
  source: z.enum(['serve', 'config', 'api']),
  uri: z.string().nullable(),
  systems: z.array(z.string()),
  features: z.array(z.string()),
  mandatory_features: z.array(z.string()),
  trust_domains: z.array(z.string()),
  slots: z.number(),
  speed: z.number(),
  seen_at: z.date(),
  connected: z.boolean(),
  enabled: z.boolean(),
  draining: z.boolean(),
  consecutive_failures: z.number(),
  disabled_until: z.date().nullable(),
  last_error: z.string().nullable(),
  version: z.string().nullable(),
  /** Why an agent that is connected gets no more for now. */
  withheld: z.string().nullable(),
  load: loadShape.nullable().catch(null),
  /** Builds that visitors may see. */
  running: z.number(),
  /** Slots in use, by whatever. */
  occupied: z.number(),
  /** When the first of what runs is expected to end, by how long it took before. */
  free_at: z.date().nullable(),
});
export type BuilderRow = z.infer<typeof builderShape>;

/** Builders in the order of their ids, with the builds that run on each. */
export async function listBuilders(
  reader: Reader,
  { after, limit }: { readonly after: number; readonly limit: number },
): Promise<BuilderRow[]> {
  const builders = await readRows(
    reader,
    builderShape,
    `WITH RECURSIVE ${visibleUnfinished},
     busy AS (
       SELECT a.builder, count(*) AS occupied, count(visible.id) AS running,
         min(a.started_at + d.mean_ms * interval '1 millisecond')
           FILTER (WHERE a.started_at + d.mean_ms * interval '1 millisecond' > now()) AS free_at
       FROM attempts a JOIN builds b ON b.id = a.build_id LEFT JOIN visible ON visible.id = b.id
       LEFT JOIN build_durations d ON d.name = b.name AND d.system = b.system
       WHERE a.state = 'running' GROUP BY a.builder)
     SELECT m.id, m.name, m.kind, m.source, m.uri, m.systems, m.features, m.mandatory_features, m.trust_domains, m.slots,
       m.speed, m.seen_at, m.process_id IS NOT NULL AS connected, m.enabled, m.draining,
       m.consecutive_failures, m.disabled_until, m.last_error, m.version, m.withheld, m.load,
       coalesce(busy.running, 0) AS running, coalesce(busy.occupied, 0) AS occupied, busy.free_at
     FROM builders m LEFT JOIN busy ON busy.builder = m.name
     WHERE m.id > :after AND m.removed_at IS NULL ORDER BY m.id LIMIT :limit`,
    { after, limit },
  );
  if (reader.showPrivate) return builders;
  return builders.map((builder) => ({ ...builder, last_error: withoutStorePaths(builder.last_error) }));
}

/** One builder that was not removed. */
export async function readBuilder(reader: Reader, id: number): Promise<BuilderRow | undefined> {
  const [found] = await listBuilders(reader, { after: id - 1, limit: 1 });
  return found?.id === id ? found : undefined;
}

/** What a machine failed with may name a derivation that not everybody may know of. */
function withoutStorePaths(text: string | null): string | null {
  return text?.replace(/\/nix\/store\/[\w.+?=-]+/g, '/nix/store/…') ?? null;
}
