/** `ringmaster notification …`. Its code is loaded when one of them runs. */
import type { Command } from 'commander';
import { examples, type Perform } from './command-parts.ts';

export function addNotificationCommands(program: Command, perform: Perform): void {
  const command = program
    .command('notification')
    .summary('who is told how branches are, besides GitHub')
    .description('Lists who is told that a branch broke or is good again ([[notifications]]), and tries it.');
  const list = command
    .command('list')
    .summary('print who is told, and of what')
    .description('Prints who is told, and of what. Addresses are not shown: those of chats are secrets.')
    .option('--json', 'print one JSON document')
    .action((options: { json?: boolean }) =>
      perform(async (context) => {
        const { listNotifications } = await import('./notification.ts');
        return listNotifications(context, { json: options.json === true });
      }),
    );
  const test = command
    .command('test')
    .summary('send one an example')
    .description('Sends an example to one of them, at once and without a running server.')
    .argument('<name>', 'its name in the configuration')
    .action((name: string) =>
      perform(async (context) => {
        const { testNotification } = await import('./notification.ts');
        return testNotification(context, name);
      }),
    );
  examples(command, [['ringmaster notification test team', 'see whether it arrives']]);
  examples(list, [['ringmaster notification list --json', 'for programs']]);
  examples(test, [['ringmaster notification test team', 'see whether it arrives']]);
}
