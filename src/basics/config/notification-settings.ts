/** Who else is told how branches are, besides GitHub. */
import { z } from 'zod';
import { settingNotes, text } from './setting-notes.ts';

export const notificationEvents = ['broken', 'failing', 'recovered', 'passing'] as const;

const address = z.url({ protocol: /^https?$/ });
const patterns = z.array(text).min(1).max(100);

export const notifications = z
  .array(
    z
      .strictObject({
        name: z.string().regex(/^[A-Za-z0-9][\w.-]{0,62}$/),
        kind: z.enum(['webhook', 'slack']).default('webhook'),
        url: address.optional(),
        url_file: text.optional(),
        secret_file: text.optional(),
        projects: patterns.default(['*']),
        branches: patterns.optional(),
        events: z.array(z.enum(notificationEvents)).min(1).default(['broken', 'recovered']),
      })
      .refine(({ url, url_file }) => (url === undefined) !== (url_file === undefined), {
        message: 'needs either url or url_file',
      }),
  )
  .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, {
    message: 'two have the same name',
  })
  .default([])
  .register(settingNotes, {
    about:
      'Who is told that a branch broke or is good again, a `[[notifications]]` table each: `name`, `kind` (`webhook`, or `slack` for all that takes `{"text": …}`), `url` or `url_file` (a file with it), `secret_file` (a file with what signs a webhook), `projects` (patterns, all), `branches` (patterns, the default branch), `events` (of broken, failing, recovered, passing; `["broken", "recovered"]`). See [Notifications](../notifications.md). All schedulers are to have the same.',
    expects: 'a list of tables with at least name and url or url_file',
    secret: 'whole',
  });

export type NotificationTarget = z.output<typeof notifications>[number];
