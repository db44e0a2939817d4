/** The scripts' entrance below `/_double/`: what tests do in process, over HTTP and JSON. */
import { z } from 'zod';
import { ApiError } from './api-error.ts';
import { checkRunJson } from './check-runs.ts';
import type { GitHubDouble } from './face.ts';
import type { FaultRule } from './faults.ts';
import type { OtherReply, OtherRequest } from './server.ts';
import type { CheckRun } from './world.ts';

const repo = z.string();
const files = z.record(z.string(), z.string().nullable());

const bodies = {
  repository: z.strictObject({
    name: z.string(),
    private: z.boolean().exactOptional(),
    directory: z.string().exactOptional(),
    installed: z.boolean().exactOptional(),
    organization: z.boolean().exactOptional(),
  }),
  push: z.strictObject({
    repo,
    branch: z.string().exactOptional(),
    directory: z.string().exactOptional(),
    files: files.exactOptional(),
    message: z.string().exactOptional(),
    author: z.string().exactOptional(),
    from: z.string().exactOptional(),
    force: z.boolean().exactOptional(),
  }),
  pull: z.strictObject({
    repo,
    head: z.string(),
    base: z.string().exactOptional(),
    fork: z.string().exactOptional(),
    directory: z.string().exactOptional(),
    files: files.exactOptional(),
    title: z.string().exactOptional(),
    author: z.string().exactOptional(),
    message: z.string().exactOptional(),
  }),
  synchronize: z.strictObject({ repo, number: z.int(), files, message: z.string().exactOptional() }),
  close: z.strictObject({ repo, number: z.int(), merge: z.boolean().exactOptional() }),
  comment: z.strictObject({ repo, number: z.int(), author: z.string(), body: z.string() }),
  role: z.strictObject({
    repo,
    login: z.string(),
    role: z.enum(['admin', 'maintain', 'write', 'triage', 'read', 'none']),
  }),
  run: z.strictObject({
    id: z.int(),
    identifier: z.string().exactOptional(),
    sender: z.string().exactOptional(),
  }),
  redeliver: z.strictObject({ id: z.int() }),
  webhook: z.strictObject({ url: z.url() }),
  person: z.strictObject({ login: z.string() }),
  fault: z.strictObject({
    kind: z.enum(['secondary-limit', 'primary-limit', 'status', 'drop-before', 'drop-after', 'hang']),
    method: z.string().exactOptional(),
    path: z.string().exactOptional(),
    times: z.int().exactOptional(),
    after: z.int().exactOptional(),
    status: z.int().exactOptional(),
    message: z.string().exactOptional(),
    retryAfter: z.number().exactOptional(),
    resetIn: z.number().exactOptional(),
  }),
};

type Handler = (text: string, url: URL) => unknown;

/** Answers everything below `/_double/`. It trusts the caller: the port is open to this machine only. */
export function createAdmin(double: GitHubDouble): (request: OtherRequest) => Promise<OtherReply> {
  const needRun = (id: number): CheckRun => {
    for (const { runs } of double.world.repositories.values()) {
      const found = runs.find((run) => run.id === id);
      if (found) return found;
    }
    throw new ApiError({ status: 404, message: `No check run ${id}` });
  };
  const sha = (url: URL) => url.searchParams.get('sha') ?? '';
  const handlers: Readonly<Record<string, Handler>> = {
    'POST repositories': async (text) => {
      const { directory, ...given } = parse(bodies.repository, text);
      const made = await double.createRepository(given);
      const first =
        directory === undefined
          ? {}
          : { push: await double.push({ repo: given.name, directory, message: 'Start' }) };
      return { id: made.id, clone_url: double.cloneUrl(given.name), ...first };
    },
    'POST push': (text) => double.push(parse(bodies.push, text)),
    'POST pull-requests': async (text) => {
      const { pull: _record, ...opened } = await double.openPullRequest(parse(bodies.pull, text));
      return opened;
    },
    'POST synchronize': (text) => {
      const { repo: name, number, ...change } = parse(bodies.synchronize, text);
      return double.synchronize(name, number, change);
    },
    'POST close': (text) => {
      const { repo: name, number, merge } = parse(bodies.close, text);
      return double.closePullRequest(name, number, { merge: merge ?? false });
    },
    'POST comments': (text) => double.gestures.comment(parse(bodies.comment, text)),
    'POST roles': (text) => {
      const given = parse(bodies.role, text);
      double.setRole(given.repo, given.login, given.role);
      return given;
    },
    'POST rerequest': (text) => {
      const { id, sender } = parse(bodies.run, text);
      return double.gestures.rerequestRun(needRun(id), sender);
    },
    'POST press': (text) => {
      const { id, identifier, sender } = parse(bodies.run, text);
      return double.gestures.pressButton(needRun(id), identifier ?? '', sender);
    },
    'POST redeliver': (text) => double.webhooks.redeliver(parse(bodies.redeliver, text).id),
    'POST webhook': (text) => double.setWebhookUrl(parse(bodies.webhook, text).url),
    'POST person': (text) => {
      double.browser.person = parse(bodies.person, text).login;
    },
    'POST faults': (text) => double.faults.inject(faultRule(parse(bodies.fault, text))),
    'DELETE faults': () => double.faults.clear(),
    'GET check-runs': (_, url) => double.checkRuns(sha(url)).map((run) => checkRunJson(double.world, run)),
    'GET statuses': (_, url) => double.statuses(sha(url)),
    'GET journal': () => double.journal.calls,
    'GET deliveries': () => double.webhooks.deliveries,
    'GET environment': () => double.environment(),
  };
  return async ({ method, url, body }) => {
    const handler = handlers[`${method} ${url.pathname.slice('/_double/'.length)}`];
    if (!handler) {
      const known = Object.keys(handlers).join(', ');
      throw new ApiError({ status: 404, message: `No such entrance. There are: ${known}` });
    }
    const result = await handler(body, url);
    return { status: 200, type: 'application/json', text: JSON.stringify(result ?? { ok: true }) };
  };
}

function faultRule(given: z.infer<typeof bodies.fault>): FaultRule {
  const { kind, status, message, retryAfter, resetIn, ...where } = given;
  if (kind === 'status') {
    return { ...where, kind, status: status ?? 500, ...(message === undefined ? {} : { message }) };
  }
  if (kind === 'secondary-limit') {
    return { ...where, kind, ...(retryAfter === undefined ? {} : { retryAfter }) };
  }
  if (kind === 'primary-limit') return { ...where, kind, ...(resetIn === undefined ? {} : { resetIn }) };
  return { ...where, kind };
}

function parse<T>(schema: z.ZodType<T>, text: string): T {
  const parsed = schema.safeParse(text === '' ? {} : JSON.parse(text));
  if (!parsed.success) throw new ApiError({ status: 422, message: z.prettifyError(parsed.error) });
  return parsed.data;
}
