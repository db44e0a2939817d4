/** The pages on which the GitHub App is set up. They are there only while a server has none. */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import type { AssetPaths } from './assets.ts';
import { contentSecurityPolicy } from './headers.ts';
import type { WebServerOptions } from './options.ts';
import { setupBegin, setupDone, setupProblem, setupSend } from './pages/setup.tsx';

const words = z.string().max(1000).catch('');
const tokenQuery = z.object({ token: words });
const beginForm = z.object({ token: words, public_url: words, organization: words });
const callbackQuery = z.object({ code: words, state: words });

/** Registers `/setup`; every other way in answers as if it were not there. */
export function registerSetup(
  app: FastifyInstance,
  { assets, options }: { readonly assets: AssetPaths; readonly options: WebServerOptions },
): void {
  const { setup } = options;
  if (!setup) return;
  const frame = { assets };
  const show = async (reply: FastifyReply, page: Promise<string>, status = 200) => {
    // What the pages hold is for one person, once.
    reply.header('cache-control', 'no-store').header('referrer-policy', 'no-referrer');
    return reply
      .code(status)
      .type('text/html; charset=utf-8')
      .send(await page);
  };
  app.register(async (scope) => {
    scope.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'string', bodyLimit: 16 * 1024 },
      async (_request: unknown, body: string | Buffer) =>
        Object.fromEntries(new URLSearchParams(String(body))),
    );
    scope.get('/setup', async (request, reply) => {
      const { token } = tokenQuery.parse(request.query);
      const seen = setup.created(token);
      if (seen) return show(reply, setupDone({ frame, ...seen }));
      if (!setup.admits(token)) return reply.callNotFound();
      return show(reply, setupBegin({ frame, token, publicUrl: options.publicUrl() }));
    });
    scope.post('/setup', async (request, reply) => {
      const form = beginForm.parse(request.body);
      if (!setup.admits(form.token)) return reply.callNotFound();
      const begun = setup.begin({
        publicUrl: form.public_url.trim(),
        organization: form.organization.trim(),
      });
      if ('problem' in begun) {
        return show(reply, setupProblem({ frame, problem: begun.problem, token: form.token }), 400);
      }
      // The manifest is posted to GitHub, and GitHub sends the browser back to this server.
      reply.header(
        'content-security-policy',
        contentSecurityPolicy({ formsTo: new URL(begun.action).origin }),
      );
      return show(reply, setupSend({ frame, ...begun }));
    });
    scope.get('/setup/callback', async (request, reply) => {
      const finished = await setup.finish(callbackQuery.parse(request.query));
      if ('problem' in finished) return show(reply, setupProblem({ frame, problem: finished.problem }), 400);
      return show(reply, setupDone({ frame, ...finished }));
    });
  });
}
