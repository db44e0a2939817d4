/** Deliveries out: signed, recorded, and redelivered under the same GUID. */
import { createHmac, randomUUID } from 'node:crypto';
import { messageOf } from '../../src/basics/errors.ts';
import { notFound } from './api-error.ts';
import { asObject, type JsonObject, objectAt } from './json.ts';
import { type Route, route } from './router.ts';
import type { World } from './world.ts';

export interface Delivery {
  readonly id: number;
  /** The same for every redelivery of an event. */
  readonly guid: string;
  readonly event: string;
  readonly action: string | null;
  readonly deliveredAt: string;
  readonly redelivery: boolean;
  /** Milliseconds until the answer. */
  duration: number;
  /** `undefined` while under way; 0 when nobody answered. */
  statusCode: number | undefined;
  /** GitHub's word for the outcome: `OK`, or what went wrong. */
  status: string;
  readonly payload: JsonObject;
  response: string;
}

/** GitHub gives up after ten seconds and never tries again by itself. */
const answerWithinMs = 10_000;

export interface Webhooks {
  readonly deliveries: readonly Delivery[];
  url: string | undefined;
  /** Sends one event and resolves when it was answered, or failed. Never rejects for the receiver's sake. */
  deliver(event: string, payload: JsonObject): Promise<Delivery>;
  redeliver(id: number): Promise<Delivery>;
  /** The next `count` deliveries get lost on the way, as in an outage. */
  lose(count: number): void;
  /** Gives up on deliveries under way and resolves when none is left. */
  stop(): Promise<void>;
}

export function createWebhooks(world: World, secret: () => string, onChange: () => void): Webhooks {
  const deliveries: Delivery[] = [];
  const underWay = new Set<Promise<Delivery>>();
  const stopping = new AbortController();
  let toLose = 0;

  const send = async (delivery: Delivery): Promise<Delivery> => {
    const finish = (statusCode: number, status: string, response = '') => {
      Object.assign(delivery, { statusCode, status, response });
      onChange();
      return delivery;
    };
    if (toLose > 0) {
      toLose -= 1;
      return finish(504, 'timed out');
    }
    if (hooks.url === undefined) return finish(0, 'no webhook URL');
    const body = JSON.stringify(delivery.payload);
    const started = performance.now();
    try {
      const answer = await fetch(hooks.url, {
        method: 'POST',
        headers: headersOf(delivery, secret(), body),
        body,
        redirect: 'manual',
        signal: AbortSignal.any([AbortSignal.timeout(answerWithinMs), stopping.signal]),
      });
      const text = await answer.text();
      delivery.duration = Math.round(performance.now() - started);
      return finish(answer.status, answer.ok ? 'OK' : `Invalid HTTP Response: ${answer.status}`, text);
    } catch (error) {
      delivery.duration = Math.round(performance.now() - started);
      const late = error instanceof Error && error.name === 'TimeoutError';
      return finish(late ? 504 : 502, late ? 'timed out' : 'failed to connect to host', messageOf(error));
    }
  };

  const start = (
    event: string,
    payload: JsonObject,
    guid: string,
    redelivery: boolean,
  ): Promise<Delivery> => {
    const action = payload.action;
    const delivery: Delivery = {
      id: world.nextId(),
      guid,
      event,
      action: typeof action === 'string' ? action : null,
      deliveredAt: new Date(world.clock()).toISOString(),
      redelivery,
      duration: 0,
      statusCode: undefined,
      status: 'pending',
      payload,
      response: '',
    };
    deliveries.push(delivery);
    const promise = send(delivery).finally(() => underWay.delete(promise));
    underWay.add(promise);
    return promise;
  };

  const hooks: Webhooks = {
    deliveries,
    url: undefined,
    deliver: (event, payload) => start(event, payload, randomUUID(), false),
    redeliver: async (id) => {
      const old = deliveries.find((delivery) => delivery.id === id);
      if (!old) throw notFound();
      return start(old.event, old.payload, old.guid, true);
    },
    lose: (count) => {
      toLose += count;
    },
    stop: async () => {
      stopping.abort();
      while (underWay.size > 0) await Promise.allSettled([...underWay]);
    },
  };
  return hooks;
}

function headersOf(delivery: Delivery, secret: string, body: string): Record<string, string> {
  return {
    accept: '*/*',
    'content-type': 'application/json',
    'user-agent': 'GitHub-Hookshot/1234567',
    'x-github-delivery': delivery.guid,
    'x-github-event': delivery.event,
    'x-github-hook-id': '1',
    'x-github-hook-installation-target-type': 'integration',
    'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
  };
}

/** The App's view of its deliveries; the three days' window of github.com is kept. */
export function hookRoutes(world: World, hooks: Webhooks): readonly Route[] {
  const find = (id: string | undefined): Delivery => {
    const found = hooks.deliveries.find((delivery) => String(delivery.id) === id && recent(delivery));
    if (!found) throw notFound();
    return found;
  };
  const windowMs = 3 * 24 * 3_600_000;
  const recent = (delivery: Delivery) => Date.parse(delivery.deliveredAt) > world.clock() - windowMs;
  const config = () => ({
    content_type: 'json',
    insecure_ssl: '0',
    secret: '********',
    ...(hooks.url === undefined ? {} : { url: hooks.url }),
  });
  return [
    route('app', 'GET', '/app/hook/config', () => ({ status: 200, body: config() })),
    route('app', 'PATCH', '/app/hook/config', ({ body }) => {
      const { url } = asObject(body);
      if (typeof url === 'string') hooks.url = url;
      return { status: 200, body: config() };
    }),
    route('app', 'GET', '/app/hook/deliveries', ({ url }) => {
      const perPage = Math.min(100, Number(url.searchParams.get('per_page')) || 30);
      const before = Number(url.searchParams.get('cursor')?.replace(/^v1_/, '')) || Number.POSITIVE_INFINITY;
      const older = hooks.deliveries
        .filter((delivery) => delivery.id < before && recent(delivery))
        .toReversed();
      const page = older.slice(0, perPage);
      const next = new URL(url);
      next.searchParams.set('cursor', `v1_${page.at(-1)?.id}`);
      return {
        status: 200,
        body: page.map(summary),
        headers: older.length > perPage ? { link: `<${next.href}>; rel="next"` } : {},
      };
    }),
    route('app', 'GET', '/app/hook/deliveries/:id', ({ params }) => {
      const found = find(params.id);
      const body = {
        ...summary(found),
        request: { headers: { 'X-GitHub-Delivery': found.guid }, payload: found.payload },
        response: { headers: {}, payload: found.response },
      };
      return { status: 200, body };
    }),
    route('app', 'POST', '/app/hook/deliveries/:id/attempts', ({ params }) => {
      // Answered at once; the delivery itself happens later, as on GitHub.
      void hooks.redeliver(find(params.id).id);
      return { status: 202, body: {} };
    }),
  ];
}

function summary(delivery: Delivery): JsonObject {
  const id = (name: string) => objectAt(delivery.payload, name).id ?? null;
  return {
    id: delivery.id,
    guid: delivery.guid,
    delivered_at: delivery.deliveredAt,
    redelivery: delivery.redelivery,
    duration: delivery.duration / 1000,
    status: delivery.status,
    status_code: delivery.statusCode ?? 0,
    event: delivery.event,
    action: delivery.action,
    installation_id: id('installation'),
    repository_id: id('repository'),
    throttled_at: null,
  };
}
