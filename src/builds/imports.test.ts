/** Builds of evaluations among those of the queue. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { type BegunImport, beginImport, endImport, releaseImports } from './imports.ts';
import { releaseAttempts, releaseForgotten } from './leases.ts';
import { openTestQueue, type TestQueue, wanted } from './test-queue.ts';

let queue: TestQueue;
let evaluationId: number;
beforeAll(async () => {
  queue = await openTestQueue();
  const { knex, processId } = queue;
  await knex('installations').insert({ id: 1, account_login: 'acme' });
  await knex.raw(
    `INSERT INTO projects (id, github_repository_id, installation_id, owner, name, default_branch, private)
     OVERRIDING SYSTEM VALUE VALUES (1, 1, 1, 'acme', 'rockets', 'main', false)`,
  );
  const row = (rows: unknown) => z.array(z.object({ id: z.number() })).parse(rows)[0]?.id ?? 0;
  const revision = { project_id: 1, sha: 'a'.repeat(40), trust: 'trusted' };
  const revisionId = row(await knex('revisions').insert(revision).returning('id'));
  const evaluation = { revision_id: revisionId, state: 'evaluating', process_id: processId };
  evaluationId = row(await knex('evaluations').insert(evaluation).returning('id'));
});
afterAll(() => queue.drop());

function begin(name: string): Promise<BegunImport> {
  return queue.knex.transaction((trx) =>
    beginImport(trx, { ...wanted(name), evaluationId, projectId: 1, processId: queue.processId }),
  );
}

async function end({ buildId, attemptId = 0 }: BegunImport, status: 'built' | 'failed' | 'cancelled') {
  const now = new Date();
  const result = { status, message: '', outputs: {}, startedAt: now, finishedAt: now };
  await queue.knex.transaction((trx) => endImport(trx, { buildId, attemptId }, result, async () => {}));
}

const stateOf = async (name: string) => (await queue.states())[name];

test('no builder takes it and no dispatcher gives it back, but what waits for it goes on with its end', async () => {
  const import_ = await begin('read');
  await queue.knex.transaction((trx) => releaseForgotten(trx, queue.processId, []));
  await queue.knex.transaction((trx) => releaseAttempts(trx, []));
  await queue.enqueue([wanted('read'), wanted('user', ['read'])]);
  expect(await queue.claimAll()).toEqual([]);
  await end(import_, 'built');
  expect(await stateOf('read')).toBe('succeeded');
  expect(await queue.claimAll()).toEqual(['user']);
  await queue.end('user', 'built');
});

test('one that ends with its evaluation is cancelled, or queued when others want it', async () => {
  const [alone, shared] = [await begin('alone'), await begin('shared')];
  await queue.enqueue([wanted('shared'), wanted('other', ['shared'])]);
  await end(alone, 'cancelled');
  await end(shared, 'cancelled');
  expect(await stateOf('alone')).toBe('cancelled');
  expect(await queue.claimAll()).toEqual(['shared']);
  await queue.end('shared', 'built');
  await queue.claimAll();
  await queue.end('other', 'built');
});

test('one that waits in the queue is taken out of it; one that a builder has is only named', async () => {
  await queue.enqueue([wanted('waiting'), wanted('running')]);
  const claimed = await queue.claim(1);
  const [running, waiting] = claimed[0] === 'running' ? ['running', 'waiting'] : ['waiting', 'running'];
  expect(await begin(running ?? '')).toMatchObject({ attemptId: undefined });
  const taken = await begin(waiting ?? '');
  expect(taken.attemptId).toBeDefined();
  expect(await queue.claimAll()).toEqual([]);
  await end(taken, 'failed');
  expect(await stateOf(waiting ?? '')).toBe('failed');
  await queue.end(running ?? '', 'built');
});

test('what a dead process leaves is ended once, and begun anew by whoever evaluates again', async () => {
  await begin('left');
  const left = await begin('left-too');
  const release = () => queue.knex.transaction((trx) => releaseImports(trx));
  expect(await release()).toEqual([]);
  await queue.knex('evaluations').where({ id: evaluationId }).update({ state: 'queued', process_id: null });
  const again = await begin('left');
  expect(again.attemptId).toBeDefined();
  await queue
    .knex('evaluations')
    .where({ id: evaluationId })
    .update({ state: 'evaluating', process_id: queue.processId });
  await queue.knex('attempts').where({ build_id: left.buildId }).update({ process_id: null });
  expect(await release()).toEqual([left.buildId]);
  expect(await stateOf('left-too')).toBe('cancelled');
  expect(await stateOf('left')).toBe('building');
  expect(await release()).toEqual([]);
  // Late, and not believed.
  await end(left, 'built');
  expect(await stateOf('left-too')).toBe('cancelled');
  await end(again, 'built');
});
