import type { FastifyInstance } from 'fastify';
import { type ActionContext, actionRoutes } from './action-routes.ts';
import { type BuildApiContext, buildRoutes } from './build-routes.ts';
import { builderRoutes } from './builder-routes.ts';
import { findingRoutes } from './finding-routes.ts';
import { keepRoutes } from './keep-routes.ts';
import { projectActionRoutes } from './project-routes.ts';
import { rerunRoutes } from './rerun-routes.ts';
import { queueRoutes, resultRoutes } from './routes.ts';
import { tokenRoutes } from './token-routes.ts';

/** All routes below `/api/v1`, and the document that describes them. */
export async function registerApi(
  app: FastifyInstance,
  context: BuildApiContext & ActionContext,
): Promise<void> {
  await app.register(
    async (api) => {
      api.addHook('onRequest', (request) => context.access.authenticate(request));
      api.get('/openapi.json', async () => app.swagger());
      await api.register(resultRoutes(context));
      await api.register(findingRoutes(context));
      await api.register(buildRoutes(context));
      await api.register(builderRoutes(context.access));
      await api.register(queueRoutes(context));
      await api.register(actionRoutes(context));
      await api.register(rerunRoutes(context));
      await api.register(keepRoutes(context.access));
      await api.register(projectActionRoutes(context));
      await api.register(tokenRoutes(context.access));
    },
    { prefix: '/api/v1' },
  );
}
