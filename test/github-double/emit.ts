/** Webhook events about a repository, sent when the App would really get them. */
import type { JsonObject } from './json.ts';
import type { Recorded } from './recorded.ts';
import { repositoryJson, userJson } from './render.ts';
import type { Delivery, Webhooks } from './webhooks.ts';
import { installationOf, type Repository, type User, type World } from './world.ts';

export interface Emitter {
  /**
   * Sends an event. `undefined` when GitHub would stay silent: the App is not installed there,
   * suspended, or not subscribed.
   */
  emit(
    repository: Repository,
    event: string,
    action: string | undefined,
    facts: JsonObject,
    sender: User,
  ): Promise<Delivery | undefined>;
}

/** Sent to every App with checks:write, whatever it subscribed to. */
const alwaysSent = new Set(['check_suite/requested', 'check_suite/rerequested', 'check_run/rerequested']);
alwaysSent.add('check_run/requested_action');

export function createEmitter(world: World, recorded: Recorded, webhooks: Webhooks): Emitter {
  return {
    emit: async (repository, event, action, facts, sender) => {
      const installation = installationOf(world, repository);
      if (!installation || installation.suspendedAt !== undefined) return undefined;
      if (!world.app.events.includes(event) && !alwaysSent.has(`${event}/${action}`)) return undefined;
      const payload = recorded.payload(event, action, {
        repository: repositoryJson(world, repository),
        sender: userJson(world, sender),
        installation: { id: installation.id, node_id: `MDI_${installation.id}` },
        ...facts,
      });
      if (repository.owner.type === 'Organization') payload.organization = userJson(world, repository.owner);
      return webhooks.deliver(event, payload);
    },
  };
}
