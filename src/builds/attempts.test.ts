import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { askForCheck, claimChecks, listChecks } from './checks/index.ts';
import { completeAttempt, completeAttempts } from './complete.ts';
import { adoptAttempt, releaseAttempts, renewLeases } from './leases.ts';
import { endForsaken } from './lost.ts';
import { openTestQueue, resultOf, type TestQueue, wanted } from './test-queue.ts';

let queue: TestQueue;
beforeAll(async () => {
  queue = await openTestQueue();
});
beforeEach(async () => {
  await queue.knex.raw('TRUNCATE builds, attempts, build_inputs CASCADE');
});
afterAll(() => queue.drop());

test('a build whose machine failed goes to another builder, at once and once, and says so', async () => {
  const other = await queue.addBuilder('other');
  await queue.enqueue([wanted('unlucky')]);
  await queue.claimAll();
  await queue.end('unlucky', 'infrastructure', 'the lights went out');
  expect(await queue.claimAll(), 'not to the same').toEqual([]);
  expect((await queue.knex('builds').first()).message).toMatch(
    /builder local failed: the lights went out\nTried again on another builder/,
  );
  expect(await queue.claimOn(other)).toEqual(['unlucky']);
  await queue.end('unlucky', 'built');
  expect(await queue.knex('builds').first()).toMatchObject({ state: 'succeeded', message: '' });
  await queue.knex('builders').where({ id: other }).delete();
});

test('with no other builder left, the one that failed gets it again after a rest', async () => {
  const other = await queue.addBuilder('other');
  await queue.enqueue([wanted('unlucky')]);
  await queue.claimAll();
  await queue.end('unlucky', 'builder-lost');
  await queue.knex('builders').where({ id: other }).update({ enabled: false });
  expect(await queue.claimAll()).toEqual(['unlucky']);
  await queue.knex('builders').where({ id: other }).delete();
});

test('a build that every machine was lost with ends when none has come back, naming them and what to do', async () => {
  const { knex } = queue;
  const other = await queue.addBuilder('other');
  await queue.enqueue([wanted('unlucky'), wanted('needs-it', ['unlucky']), wanted('waiting')]);
  await queue.claim(1);
  await queue.end('unlucky', 'builder-lost', 'The agent was away for 45 s.');
  expect(await queue.claimOn(other)).toEqual(['unlucky']);
  await queue.end('unlucky', 'infrastructure', 'The connection broke.\nLook at its network.');
  const forsaken = () => knex.transaction((trx) => endForsaken(trx, 60));
  const away = { process_id: null, seen_at: new Date(0) };
  await knex('attempts').update({ finished_at: new Date(0) });
  expect(await forsaken(), 'the builders are there').toEqual([]);
  await knex('builders').update(away);
  await knex('builders').where({ id: other }).update({ enabled: false });
  expect(await forsaken(), 'an operator keeps one').toEqual([]);
  await knex('builders').where({ id: other }).update({ enabled: true });
  expect(await forsaken(), 'the server was away as well').toEqual([]);
  await knex('processes').update({ started_at: new Date(0) });
  expect(await forsaken()).toHaveLength(2);
  expect(await queue.states()).toEqual({
    unlucky: 'builder-lost',
    'needs-it': 'dependency-failed',
    waiting: 'queued',
  });
  const { id, message } = await knex('builds').where({ name: 'unlucky' }).first();
  expect(message.split('\n')).toEqual([
    'No builder could finish it:',
    expect.stringMatching(/^ {2}local, 1970-01-01T00:00:00Z: The agent was away for 45 s\.$/),
    expect.stringMatching(/^ {2}other, 1970-01-01T00:00:00Z: The connection broke\.$/),
    expect.stringContaining(`ringmaster build restart ${id}`),
  ]);
  await knex('builders').update({ process_id: queue.processId, seen_at: new Date() });
  await knex('builders').where({ id: other }).delete();
});

/** With nothing but a system. */
const anyBuilder = (id: number) => ({
  ...{ id, name: 'local', systems: ['x86_64-linux'], features: [], mandatoryFeatures: [] },
  ...{ trustDomains: ['trusted'], slots: 1, free: 1, speed: 1 },
});

test('checks that no machine can do now keep none waiting that one can do', async () => {
  const { knex, processId, builderId } = queue;
  const rare = Array.from({ length: 120 }, (_, n) => ({ ...wanted(`rare-${n}`), requiredFeatures: ['kvm'] }));
  await queue.enqueue([...rare, wanted('failed-here')]);
  await queue.enqueue([wanted('common')]);
  await knex('builds').update({ state: 'succeeded', finished_at: new Date() });
  await knex.raw(`INSERT INTO build_checks (build_id, asked_by) SELECT id, 'me' FROM builds ORDER BY id`);
  const { id: failedHere } = await knex('builds').where({ name: 'failed-here' }).first();
  await knex('build_checks')
    .where({ build_id: failedHere })
    .update({ excluded_builder_ids: [builderId] });
  const claimed = await knex.transaction((trx) => claimChecks(trx, [anyBuilder(builderId)], processId));
  expect(claimed.map(({ name }) => name)).toEqual(['common']);
});

test('the words of a check are kept whatever bytes are in them', async () => {
  const { knex, processId, builderId } = queue;
  await queue.enqueue([wanted('checked')]);
  await queue.claim(1);
  await queue.end('checked', 'built');
  const { id } = await knex('builds').where({ name: 'checked' }).first();
  await knex.transaction((trx) => askForCheck(trx, id, 'me'));
  await knex.transaction((trx) => claimChecks(trx, [anyBuilder(builderId)], processId));
  await queue.end('checked', 'failed', 'it printed \0 and went');
  expect(await listChecks(knex, id)).toMatchObject([
    { state: 'failed', message: 'it printed \u{fffd} and went' },
  ]);
});

test('a build that somebody cancelled ends when its builder has stopped; one that is wanted again goes on', async () => {
  await queue.enqueue([wanted('unwanted'), wanted('wanted-again')]);
  await queue.claimAll();
  await queue
    .knex('builds')
    .where({ name: 'unwanted' })
    .update({ cancel_requested_at: new Date(), cancel_reason: 'A newer commit came.' });
  await queue.end('unwanted', 'cancelled');
  await queue.end('wanted-again', 'cancelled');
  expect(await queue.states()).toEqual({ unwanted: 'cancelled', 'wanted-again': 'queued' });
  const build = await queue.knex('builds').where({ name: 'unwanted' }).first();
  expect(build.message).toBe('A newer commit came.');
});

test('many results of one graph are recorded at once as they would be one by one', async () => {
  await queue.enqueue([
    wanted('app', ['lib', 'docs', 'base']),
    wanted('tool', ['lib', 'docs']),
    wanted('lib'),
    wanted('docs'),
    wanted('base'),
  ]);
  await queue.claimAll();
  const ends = await Promise.all(
    (['lib', 'docs', 'base', 'lib'] as const).map(async (name) => ({
      ...(await queue.attemptOf(name)),
      result: resultOf(name === 'base' ? 'failed' : 'built'),
    })),
  );
  await queue.knex.transaction((trx) => completeAttempts(trx, ends, async () => {}));
  expect(await queue.states()).toEqual({
    app: 'dependency-failed',
    tool: 'queued',
    lib: 'succeeded',
    docs: 'succeeded',
    base: 'failed',
  });
});

test('an agent builds on while servers come and go: adopted within its lease, lost after it', async () => {
  await queue.enqueue([wanted('long'), wanted('longer')]);
  await queue.claimAll(true);
  const [long, longer] = [await queue.attemptOf('long'), await queue.attemptOf('longer')];
  const release = () => queue.knex.transaction((trx) => releaseAttempts(trx, [queue.processId]));
  expect(await release(), 'the leases hold').toEqual([]);
  const adopted = await queue.knex.transaction((trx) =>
    adoptAttempt(trx, long.attemptId, queue.builderId, queue.processId),
  );
  expect(adopted).toMatchObject({ ...long, name: 'long' });
  await queue
    .knex('attempts')
    .where({ id: longer.attemptId })
    .update({ lease_until: new Date(0) });
  expect(await renewLeases(queue.knex, [long.attemptId, 0])).toEqual(new Set([long.attemptId]));
  expect(await release()).toEqual([longer.buildId]);
  const late = await queue.knex.transaction((trx) =>
    adoptAttempt(trx, longer.attemptId, queue.builderId, queue.processId),
  );
  expect(late).toBeUndefined();
  await queue.end('long', 'built');
  expect(await queue.states()).toEqual({ long: 'succeeded', longer: 'queued' });
});

test('how long builds took is remembered as a mean that follows', async () => {
  for (const seconds of [10, 20]) {
    await queue.enqueue([wanted('measured')]);
    await queue.claimAll();
    const finishedAt = new Date();
    const startedAt = new Date(finishedAt.getTime() - seconds * 1000);
    const attempt = await queue.attemptOf('measured');
    await queue.knex.transaction((trx) =>
      completeAttempt(trx, attempt, { ...resultOf('built'), startedAt, finishedAt }, async () => {}),
    );
  }
  expect(await queue.knex('build_durations').where({ name: 'measured' }).first()).toMatchObject({
    mean_ms: 15_000,
    samples: 2,
  });
});
