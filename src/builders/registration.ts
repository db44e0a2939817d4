/** Registering builders by hand, from the command line or the API: what is given is checked here. */
import type { Knex } from 'knex';
import { OperatorError } from '../basics/index.ts';
import { hashToken, newAgentToken } from './agents/token.ts';
import { checkWords, invalid } from './registration-words.ts';
import { announceBuilders, listBuilders, type RegisteredBuilder, registerBuilder } from './registry.ts';

export interface BuilderRegistration {
  readonly name: string;
  /** `ssh-ng://…`; without one it is an agent. */
  readonly uri?: string | undefined;
  /** For agents these limit what they offer by themselves; absent: as they say. */
  readonly systems?: readonly string[] | undefined;
  readonly features?: readonly string[] | undefined;
  readonly slots?: number | undefined;
  readonly mandatoryFeatures?: readonly string[] | undefined;
  readonly speed?: number | undefined;
  readonly trustDomains?: readonly string[] | undefined;
}

/** Registers a builder. The token is an agent's: it is told now and never again. */
export async function addBuilder(
  db: Knex,
  registration: BuilderRegistration,
): Promise<{ readonly id: number; readonly token: string | undefined }> {
  check(registration);
  const { name, uri, systems, features, slots } = registration;
  const limits = {
    ...(systems && { systems }),
    ...(features && { features }),
    ...(slots !== undefined && { slots }),
  };
  return db.transaction(async (trx) => {
    const { id } = await registerBuilder(trx, {
      name,
      kind: uri === undefined ? 'agent' : 'ssh',
      uri,
      systems: systems ?? [],
      features: features ?? [],
      mandatoryFeatures: registration.mandatoryFeatures ?? [],
      slots: slots ?? 1,
      speed: registration.speed ?? 1,
      trustDomains: registration.trustDomains ?? ['trusted'],
      settings: uri === undefined ? { agent: limits } : {},
    });
    return { id, token: uri === undefined ? await giveToken(trx, id) : undefined };
  });
}

/** A new token for an agent; the old one is worth nothing from now on. */
export async function renewBuilderToken(db: Knex, name: string): Promise<string> {
  const { id, kind } = await findBuilder(db, name);
  if (kind === 'agent') return giveToken(db, id);
  throw new OperatorError({ code: 'not-an-agent', message: `'${name}' is no agent, so it needs no token.` });
}

/** Throws an OperatorError when there is none of that name. */
export async function findBuilder(db: Knex, name: string): Promise<RegisteredBuilder> {
  const all = await listBuilders(db);
  const found = all.find((builder) => builder.name === name);
  if (found) return found;
  const names = all.map((builder) => builder.name).join(', ');
  throw new OperatorError({
    code: 'unknown-builder',
    message: `There is no builder '${name}'.`,
    hint: names === '' ? 'None is registered yet.' : `There are: ${names}.`,
  });
}

async function giveToken(db: Knex, id: number): Promise<string> {
  const token = newAgentToken();
  await db.transaction(async (trx) => {
    await trx('builders')
      .where({ id })
      .update({ token_hash: hashToken(token) });
    await announceBuilders(trx);
  });
  return token;
}

function check(registration: BuilderRegistration): void {
  const { name, uri, systems, features, mandatoryFeatures, trustDomains } = registration;
  if (!/^[A-Za-z0-9][\w.-]{0,62}$/.test(name)) {
    throw invalid(
      `'${name}' cannot be the name of a builder.`,
      'Use letters, digits, dots, dashes and underscores.',
    );
  }
  checkWords([systems, features, mandatoryFeatures, trustDomains]);
  if (uri === undefined) return;
  if (!/^ssh-ng:\/\/[^\s/]/.test(uri)) {
    throw invalid(
      `'${uri}' is no address of a builder.`,
      'It looks like this: ssh-ng://nix@host.example.org',
    );
  }
  if (systems === undefined || systems.length === 0) {
    throw invalid('A builder over SSH needs its systems.', 'For example --systems x86_64-linux.');
  }
}
