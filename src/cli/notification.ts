/** `ringmaster notification list|test`. They read the configuration, and need neither server nor database. */
import type { NotificationTarget } from '../basics/config/index.ts';
import { exitStatus, OperatorError } from '../basics/index.ts';
import { type Notification, sendNotification } from '../notifications/index.ts';
import { readConfiguration } from './configuration.ts';
import type { CommandContext } from './context.ts';
import { formatTable } from './terminal/table.ts';

/** Prints who is told, and of what. */
export async function listNotifications(
  context: CommandContext,
  { json }: { readonly json: boolean },
): Promise<number> {
  const { config } = await readConfiguration(context);
  const { notifications } = config;
  if (json) {
    const shown = notifications.map(({ name, kind, projects, branches, events }) => ({
      ...{ name, kind, projects, branches: branches ?? null, events },
    }));
    context.stdout.write(`${JSON.stringify({ notifications: shown })}\n`);
    return exitStatus.ok;
  }
  if (notifications.length === 0) {
    context.stdout.write('Nobody is told: there is no [[notifications]] in the configuration.\n');
    return exitStatus.ok;
  }
  const headings = ['NAME', 'KIND', 'EVENTS', 'PROJECTS', 'BRANCHES'];
  const lines = formatTable(notifications.map(rowOf), context.style, headings);
  context.stdout.write(lines.map((line) => `${line}\n`).join(''));
  return exitStatus.ok;
}

function rowOf({ name, kind, events, projects, branches }: NotificationTarget): readonly string[] {
  return [name, kind, events.join(','), projects.join(','), branches?.join(',') ?? 'the default branch'];
}

/** Sends an example to one target; what goes wrong is an OperatorError. */
export async function testNotification(context: CommandContext, name: string): Promise<number> {
  const { config } = await readConfiguration(context);
  const target = config.notifications.find((one) => one.name === name);
  if (target === undefined) {
    const names = config.notifications.map((one) => one.name).join(', ');
    throw new OperatorError({
      code: 'notification-target-unknown',
      message: `There is no notification target ${name} in the configuration.`,
      hint: names === '' ? 'It has no [[notifications]] at all.' : `It has ${names}.`,
    });
  }
  const { host, port, publicUrl } = config.server;
  const notification = exampleOf(publicUrl ?? `http://${host}:${port}`);
  await sendNotification(target, { id: crypto.randomUUID(), notification }, context.interruption.signal);
  context.stdout.write(`${name} took it.\n`);
  return exitStatus.ok;
}

function exampleOf(server: string): Notification {
  const sha = '0'.repeat(40);
  return {
    event: 'broken',
    ...{ project: 'example/project', branch: 'main', sha, author: 'ringmaster' },
    title: 'An example, sent by ringmaster notification test',
    ...{ evaluationId: 0, attributes: 2, failing: 1, newlyFailing: 1, failed: ['checks.example'] },
    finishedAt: new Date().toISOString(),
    url: `${server}/example/project/commit/${sha}`,
  };
}
