import type { FastifyInstance } from 'fastify';
import { type BuildApiContext, buildRoutes } from './build-routes.ts';
import { machineRoutes, resultRoutes } from './routes.ts';

/** All routes below `/api/v1`, and the document that describes them. */
export async function registerApi(app: FastifyInstance, context: BuildApiContext): Promise<void> {
  await app.register(
    async (api) => {
      api.get('/openapi.json', async () => app.swagger());
      await api.register(resultRoutes(context));
      await api.register(buildRoutes(context));
      await api.register(machineRoutes(context));
    },
    { prefix: '/api/v1' },
  );
}
