/** TLS on loopback, as a reverse proxy in front of a server ends it. */
import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { createServer } from 'node:tls';

const folder = new URL('../fixtures/loopback-tls/', import.meta.url);

/** For `NODE_EXTRA_CA_CERTS` of those who are to believe it. */
export const certificateFile = new URL('certificate.pem', folder).pathname;
/** The only name it is made for; nothing finds a machine of that name. */
export const secureHost = 'ringmaster.invalid';

/** Passes what is inside on to a port of this machine. */
export async function startTlsFront(
  target: () => number,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const [key, cert] = await Promise.all([readFile(new URL('key.pem', folder)), readFile(certificateFile)]);
  const sockets = new Set<Socket>();
  const server = createServer({ key, cert }, (near) => {
    const far = connect(target(), '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {});
    }
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
