/** Somebody who wants to be told how branches are: a webhook, and the configuration that names it. */
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { z } from 'zod';

const notification = z.object({ event: z.string(), project: z.string(), sha: z.string() });

export interface Notified {
  /** For `RINGMASTER_CONFIG`. */
  readonly configuration: string;
  /** What was told of a commit, as soon as something is. */
  of(sha: string): Promise<z.infer<typeof notification>>;
  close(): Promise<void>;
}

export async function openNotified(): Promise<Notified> {
  const told: z.infer<typeof notification>[] = [];
  const bell = new EventEmitter();
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      told.push(notification.parse(JSON.parse(body)));
      response.writeHead(204).end();
      bell.emit('told');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const folder = await mkdtemp(join(tmpdir(), 'ringmaster-notified-'));
  const configuration = join(folder, 'ringmaster.toml');
  await writeFile(configuration, `[[notifications]]\nname = "story"\nurl = "http://127.0.0.1:${port}"\n`);
  return {
    configuration,
    async of(sha) {
      for (;;) {
        const found = told.find((one) => one.sha === sha);
        if (found) return found;
        await once(bell, 'told');
      }
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
