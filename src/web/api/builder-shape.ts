/** A builder as the API tells of it. */
import { z } from 'zod';
import { type BuilderRow, builderKinds, loadShape } from '../read/machines.ts';
import { builderCondition, builderConditions } from '../words.ts';

const time = z.iso.datetime();
const count = z.number().int();

export const builderSchema = z
  .object({
    id: count,
    name: z.string(),
    kind: z.enum(builderKinds),
    uri: z.string().nullable().describe('How it is reached over SSH; told to bearers of a token alone'),
    source: z
      .enum(['serve', 'config', 'api'])
      .describe('Who registered it: a server its own machine, the configuration file, or an operator'),
    systems: z.array(z.string()),
    features: z.array(z.string()),
    mandatoryFeatures: z.array(z.string()).describe('It takes only builds that require all of these'),
    trustDomains: z.array(z.string()).describe('Trust domains whose builds it may see'),
    slots: count.describe('Builds at the same time'),
    slotsInUse: count.describe('Slots that are taken, by whatever'),
    running: count.describe('Builds on it that you may see'),
    speed: z.number().describe('Compared with the others: 2 is twice as fast'),
    health: z.enum(builderConditions).describe('The words of `ringmaster builder list`'),
    connected: z.boolean(),
    enabled: z.boolean(),
    draining: z.boolean(),
    consecutiveFailures: count.describe('How often the machine failed in a row, not its builds'),
    restingUntil: time.nullable().describe('It gets no builds until then, because its machine failed'),
    lastError: z.string().nullable(),
    version: z.string().nullable(),
    withheld: z
      .string()
      .nullable()
      .describe(
        'Why an agent that is connected gets no more builds for now: `memory pressure 93 % for 10 s; …`',
      ),
    load: loadShape.nullable().describe('What an agent told last; pressures are percent of ten seconds'),
    seenAt: time,
  })
  .meta({ id: 'Builder' });

export function builderShape(
  row: BuilderRow,
  showUri: boolean,
  now = new Date(),
): z.infer<typeof builderSchema> {
  const resting = row.disabled_until !== null && row.disabled_until > now;
  return {
    id: row.id,
    name: row.name,
    kind: row.kind,
    uri: showUri ? row.uri : null,
    source: row.source,
    systems: row.systems,
    features: row.features,
    mandatoryFeatures: row.mandatory_features,
    trustDomains: row.trust_domains,
    slots: row.slots,
    slotsInUse: row.occupied,
    running: row.running,
    speed: row.speed,
    health: builderCondition(row, now),
    connected: row.connected,
    enabled: row.enabled,
    draining: row.draining,
    consecutiveFailures: row.consecutive_failures,
    restingUntil: resting ? (row.disabled_until?.toISOString() ?? null) : null,
    lastError: row.last_error,
    version: row.version,
    withheld: row.withheld,
    load: row.load,
    seenAt: row.seen_at.toISOString(),
  };
}
