import { readFile } from 'node:fs/promises';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../postgres/test-database.ts';
import { createMetrics } from './metrics.ts';
import { registerWorkMetrics } from './work-metrics.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database?.drop());

const ago = (seconds: number) => database.knex.raw('now() - make_interval(secs => ?)', [seconds]);

function addBuild(state: string, from: number, to: number | undefined) {
  return database.knex('builds').insert({
    ...{ drv_path: `/nix/store/${crypto.randomUUID()}.drv`, name: 'x', system: 'x86_64-linux', state },
    created_at: ago(from + 2),
    started_at: state === 'queued' || state === 'dependency-failed' ? null : ago(from),
    finished_at: to === undefined ? null : ago(to),
  });
}

test('what has ended since the last look is counted, once, with how long it took', async () => {
  const { knex } = database;
  const registry = new Registry();
  await addBuild('succeeded', 500, 400);
  registerWorkMetrics(registry, knex, 0);
  const lines = async () => (await registry.metrics()).split('\n').filter((line) => !line.startsWith('#'));
  // It ended before this process began.
  expect(await lines()).not.toContainEqual(expect.stringMatching(/^ringmaster_builds_finished_total\{/));
  await addBuild('succeeded', 100, 0);
  await addBuild('failed', 7, 0);
  await addBuild('dependency-failed', 3, 0);
  await addBuild('queued', 1000, undefined);
  await knex('installations').insert({ id: 1, account_login: 'acme' });
  const project = { github_repository_id: 1, installation_id: 1, owner: 'acme', name: 'app' };
  const [{ id }] = await knex('projects')
    .insert({ ...project, default_branch: 'main', private: false })
    .returning('id');
  const revision = { project_id: id, sha: 'a'.repeat(40), trust: 'trusted' };
  const [{ id: revisionId }] = await knex('revisions').insert(revision).returning('id');
  await knex('evaluations').insert({
    ...{ revision_id: revisionId, state: 'failed', queued_at: ago(200) },
    ...{ started_at: ago(190), evaluated_at: ago(188), finished_at: knex.fn.now() },
  });
  // The last of them may have ended within the millisecond of a look, and is seen by the next.
  await expect.poll(lines).toContain('ringmaster_verdict_duration_seconds_sum{state="failed"} 200');
  for (let look = 0; look < 2; look += 1) {
    expect(await lines()).toEqual(
      expect.arrayContaining([
        'ringmaster_builds_finished_total{state="succeeded"} 1',
        'ringmaster_builds_finished_total{state="failed"} 1',
        'ringmaster_builds_finished_total{state="dependency-failed"} 1',
        'ringmaster_build_duration_seconds_bucket{le="60",state="succeeded"} 0',
        'ringmaster_build_duration_seconds_bucket{le="300",state="succeeded"} 1',
        'ringmaster_build_duration_seconds_sum{state="failed"} 7',
        'ringmaster_build_wait_seconds_sum{state="failed"} 2',
        'ringmaster_evaluation_duration_seconds_sum{state="failed"} 2',
        'ringmaster_verdict_duration_seconds_sum{state="failed"} 200',
      ]),
    );
  }
  const oldest = (await lines()).find((line) => line.startsWith('ringmaster_builds_oldest_queued_seconds'));
  expect(Number(oldest?.split(' ')[1])).toBeGreaterThanOrEqual(1000);
});

test('builders are counted by how they are', async () => {
  const { knex } = database;
  const process = { host: 'h', boot_id: 'b', pid_namespace: 'n', pid: 1, pid_started: 's' };
  const [{ id: processId }] = await knex('processes').insert(process).returning('id');
  const machine = { kind: 'ssh', systems: ['x86_64-linux'], slots: 3, process_id: processId };
  await knex('builders').insert([
    { ...machine, name: 'one' },
    { ...machine, name: 'two', slots: 4 },
    { ...machine, name: 'off', enabled: false },
    { ...machine, name: 'gone', kind: 'agent', process_id: null },
    { ...machine, name: 'ill', disabled_until: ago(-100) },
  ]);
  const registry = new Registry();
  registerWorkMetrics(registry, knex, 0);
  const text = await registry.metrics();
  for (const line of [
    'ringmaster_builders{kind="ssh",state="ready"} 2',
    'ringmaster_builder_slots{kind="ssh",state="ready"} 7',
    'ringmaster_builders{kind="ssh",state="disabled"} 1',
    'ringmaster_builders{kind="ssh",state="resting"} 1',
    'ringmaster_builders{kind="agent",state="away"} 1',
  ]) {
    expect(text).toContain(line);
  }
});

test('the dashboard for Grafana shows metrics that there are', async () => {
  const dashboard = await readFile(new URL('../../docs/grafana-dashboard.json', import.meta.url), 'utf8');
  const shown = new Set(dashboard.match(/\b(?:ringmaster|process|nodejs)_[a-z0-9_]+/g));
  const text = await createMetrics(database.knex).metrics();
  const known = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].flatMap(([, name, type]) =>
    type === 'histogram' ? [`${name}_bucket`, `${name}_count`] : [name],
  );
  // Of requests only the web server knows.
  const others = [...shown].filter((name) => !name.startsWith('ringmaster_http_'));
  expect(others.length).toBeGreaterThan(10);
  expect(known).toEqual(expect.arrayContaining(others));
});
