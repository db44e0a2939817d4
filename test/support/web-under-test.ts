import { Registry } from 'prom-client';
import { silentLogger } from '../../src/basics/index.ts';
import { createListener, type Database } from '../../src/postgres/index.ts';
import { buildWebServer, type WebServerOptions } from '../../src/web/index.ts';

/** The web server over a test's database, not listening yet. Closing it also stops listening to the database. */
export async function webUnderTest(database: Database, changes: Partial<WebServerOptions> = {}) {
  const log = silentLogger();
  const listener = createListener(database, log);
  const app = await buildWebServer({
    db: database.knex,
    log,
    publicUrl: () => 'https://ci.example.org',
    githubUrl: () => 'https://github.com',
    privateProjects: 'hidden',
    onRevisionChanged: async () => {},
    subscribe: (channel, handler) => listener.subscribe(channel, handler),
    health: { checks: [], draining: () => false },
    metrics: new Registry(),
    version: { version: '0.0.0-test' },
    setupNotices: () => [],
    ...changes,
  });
  app.addHook('onClose', () => listener.close());
  return app;
}
