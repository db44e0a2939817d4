/**
 * The environment of a daemon of our own. Builders of fixed outputs may ask for any variable of it
 * (`impureEnvVars`) and have the network, and NIX_CONFIG may hold the operator's access tokens: so
 * that stands in a file, which no sandbox has, with the same precedence.
 */
import { createHash, randomUUID } from 'node:crypto';
import { access, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** `environment`: with a HOME that is this program's own. */
export async function daemonEnvironment(
  environment: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, string>>> {
  const { NIX_CONFIG: config, ...rest } = environment;
  const home = environment.HOME;
  if (config === undefined || home === undefined) return environment;
  const file = join(home, `nix-${createHash('sha256').update(config).digest('hex').slice(0, 16)}.conf`);
  await writeOnce(file, config);
  // The first of them is read last, and wins.
  const files = [file, rest.NIX_USER_CONF_FILES].filter(Boolean).join(':');
  return { ...rest, NIX_USER_CONF_FILES: files };
}

/** Named by its content, so that whoever finds it need not look into it. */
async function writeOnce(file: string, content: string): Promise<void> {
  const there = await access(file).then(
    () => true,
    () => false,
  );
  if (there) return;
  const temporary = `${file}.${randomUUID()}`;
  await writeFile(temporary, `${content}\n`, { mode: 0o600 });
  await rename(temporary, file);
}
