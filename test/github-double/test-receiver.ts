/** A receiver of webhooks that checks signatures, for the double's own tests. */
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import { asObject, type JsonObject } from './json.ts';

export interface Received {
  readonly event: string;
  readonly guid: string;
  readonly signatureFits: boolean;
  readonly payload: JsonObject;
}

export interface Receiver {
  readonly url: string;
  readonly received: readonly Received[];
  /** The status of the answers from now on. */
  status: number;
  close(): Promise<void>;
}

export async function startReceiver(secret: string): Promise<Receiver> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      const signature = `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
      received.push({
        event: String(request.headers['x-github-event']),
        guid: String(request.headers['x-github-delivery']),
        signatureFits: request.headers['x-hub-signature-256'] === signature,
        payload: asObject(JSON.parse(body.toString('utf8'))),
      });
      response.writeHead(receiver.status).end('seen');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  const receiver: Receiver = {
    url: `http://127.0.0.1:${port}/api/github/webhooks`,
    received,
    status: 202,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return receiver;
}
