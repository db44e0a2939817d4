/**
 * More of a busy server for looking at the dashboard: builders in every state, builds that wait for
 * them, revisions that were approved, superseded, known before or passed over.
 */
import type { Knex } from 'knex';
import { failedLog } from './seed-jobs.ts';
import { addAttempt, addEvaluation, addJobs, addProject, addRevision, ago, seedSha } from './seed-rows.ts';

const gibibyte = 1024 ** 3;
const load = {
  load1: 9.6,
  cores: 16,
  memoryTotalBytes: 64 * gibibyte,
  memoryAvailableBytes: 21.4 * gibibyte,
  storeFreeBytes: 380 * gibibyte,
  cpuPressure: 34.2,
  memoryPressure: 0.4,
  ioPressure: 3.1,
};

const later = (minutes: number) => ago(-minutes);

/** Needs what `seedDashboard` has put there. Returns commits by what they show. */
export async function seedMachines(
  db: Knex,
): Promise<Readonly<Record<'superseded' | 'known' | 'waiting', string>>> {
  const { process_id: process } = await db('builders').select('process_id').where({ name: 'local' }).first();
  const common = { kind: 'agent', systems: ['x86_64-linux'], slots: 4, process_id: process };
  await db('builders').insert([
    { ...common, name: 'mars', slots: 16, features: ['big-parallel'], version: '0.4.0', load, speed: 1.5 },
    {
      ...common,
      name: 'kvm-only',
      features: ['kvm', 'nixos-test'],
      mandatory_features: ['kvm'],
      slots: 1,
      version: '0.4.0',
    },
    {
      ...common,
      name: 'venus',
      kind: 'ssh',
      uri: 'ssh-ng://nix@venus.example.org',
      systems: ['aarch64-linux'],
      consecutive_failures: 3,
      disabled_until: later(90),
      last_error:
        'venus has another host key than it is to have, or none that is known: Host key verification failed.\n' +
        'If the machine was set up anew, give its new host key. If not, somebody may be in between.',
    },
    {
      ...common,
      name: 'a-builder-with-a-name-as-long-as-names-may-be-which-is-63-letters',
      draining: true,
      version: '0.3.2',
    },
    { ...common, name: 'pluto', enabled: false, process_id: null, version: '0.4.0', seen_at: ago(3_000) },
    {
      ...common,
      name: 'loki',
      enabled: false,
      process_id: null,
      version: '0.4.0',
      last_error:
        'Quarantined: it uploaded /nix/store/5v6c3v0g6bwd5c0h8q2b4mzzx9jhcnq3-hello with another hash than it said.',
    },
    { ...common, name: 'newcomer', systems: [], process_id: null },
    { ...common, name: 'gone', process_id: null, removed_at: ago(5) },
  ]);
  const project = await addProject(db, 107, 'acme', 'machines');
  const revision = (words: string, extra: Partial<Parameters<typeof addRevision>[1]> = {}) =>
    addRevision(db, { projectId: project, words, minutes: 9, ...extra });

  const known = await revision('Pack the vendored crates', {
    branch: 'main',
    revision: {
      approved_by: 'ada',
      approved_at: ago(30),
      trust_reason: 'stranger has no write permission for acme/machines.',
    },
  });
  const builds = await addJobs(db, await addEvaluation(db, known, 'failed'), [
    { path: ['checks', 'first'], state: 'failed', message: 'builder failed with exit code 2' },
    { path: ['checks', 'again'], state: 'failed', message: 'builder failed with exit code 2' },
    {
      path: ['packages', 'source'],
      state: 'output-mismatch',
      message: 'hash mismatch in fixed-output derivation',
    },
  ]);
  const first = builds.get('checks.first') ?? 0;
  await db('builds')
    .where({ id: builds.get('checks.again') ?? 0 })
    .update({ cached_failure_of: first });
  await db('builds')
    .where({ id: builds.get('packages.source') ?? 0 })
    .update({
      specified_hash: 'sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
      got_hash: 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
    });
  await addAttempt(db, first, [], {
    builder: 'venus',
    status: 'infrastructure',
    message: 'venus cannot be used: the connection was closed',
  });
  const attempt = await addAttempt(db, first, failedLog, { builder: 'mars', status: 'failed' });
  await db('log_phases').insert([
    { attempt_id: attempt, position: 0, line: 0, name: 'unpackPhase' },
    { attempt_id: attempt, position: 900, line: 29, name: 'buildPhase' },
  ]);

  const waiting = await revision('Test on real machines', { branch: 'machines', minutes: 2 });
  const evaluation = await addEvaluation(db, waiting, 'building', { started_at: ago(2), reused_from: null });
  const waits = await addJobs(db, evaluation, [
    { path: ['tests', 'boot'], state: 'building', name: 'vm-boot', seconds: 70 },
    { path: ['tests', 'install'], state: 'queued', name: 'vm-install' },
    { path: ['tests', 'arm'], state: 'queued', name: 'vm-arm', system: 'aarch64-linux' },
    { path: ['tests', 'darwin'], state: 'queued', name: 'on-a-mac', system: 'aarch64-darwin' },
    { path: ['tests', 'unlucky'], state: 'queued', name: 'unlucky' },
  ]);
  const change = (path: string, row: object) =>
    db('builds')
      .where({ id: waits.get(path) ?? 0 })
      .update(row);
  await change('tests.boot', { required_features: ['kvm'], remaining_ms: 300_000 });
  await change('tests.install', { required_features: ['kvm'], remaining_ms: 5_400_000, priority: 10 });
  await change('tests.unlucky', {
    not_before: later(9),
    message: 'The builder mars failed: no answer\nTried again after a rest.',
  });
  await addAttempt(db, waits.get('tests.boot') ?? 0, ['booting'], {
    state: 'running',
    builder: 'kvm-only',
    phase: 'buildPhase',
    started_at: ago(1.2),
  });
  for (const name of ['vm-boot', 'vm-install', 'vm-arm', 'on-a-mac']) {
    await insertDuration(db, name, name === 'vm-arm' ? 'aarch64-linux' : 'x86_64-linux');
  }

  const superseded = await revision('Test on virtual machines', { branch: 'machines', minutes: 6 });
  await addJobs(
    db,
    await addEvaluation(db, superseded, 'cancelled', {
      cancel_reason: 'A newer commit of machines took its place.',
      superseded_by: evaluation,
      reused_from: evaluation,
    }),
    [{ path: ['tests', 'boot'], state: 'cancelled', message: 'A newer commit of machines took its place.' }],
  );
  const passed = await revision('Only the README', { minutes: 1, branch: 'docs' });
  await db('revision_sources')
    .where({ revision_id: passed })
    .update({
      passed_over: JSON.stringify({
        kind: 'irrelevant',
        reason: 'Only files that paths.ignore names were changed.',
      }),
    });
  return {
    known: seedSha('Pack the vendored crates'),
    waiting: seedSha('Test on real machines'),
    superseded: seedSha('Test on virtual machines'),
  };
}

async function insertDuration(db: Knex, name: string, system: string): Promise<void> {
  await db('build_durations').insert({ name, system, mean_ms: 2_900_000, samples: 4 });
}
