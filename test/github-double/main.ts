/** The double as a program: `npx tsx test/github-double/main.ts --help`. */
import { parseArgs } from 'node:util';
import { startGitHubDouble } from './double.ts';
import { githubLimits } from './limits.ts';

const usage = `Usage: tsx test/github-double/main.ts [options]

A GitHub on 127.0.0.1. Prints one line of JSON when it is ready and runs until SIGINT or SIGTERM.

  --port N            port, default a free one
  --data-dir DIR      repositories and private key, default a temporary directory
  --webhook-url URL   where events are delivered
  --webhook-secret S  default a random one
  --repo OWNER/NAME=DIR  create a repository from a directory; may be repeated
  --limits            enforce github.com's rate limits
  --quiet-checks      do not send check_run created and completed events back
`;

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    'data-dir': { type: 'string' },
    'webhook-url': { type: 'string' },
    'webhook-secret': { type: 'string' },
    repo: { type: 'string', multiple: true, default: [] },
    limits: { type: 'boolean', default: false },
    'quiet-checks': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  process.stdout.write(usage);
} else {
  const double = await startGitHubDouble({
    port: Number(values.port),
    echoCheckRuns: !values['quiet-checks'],
    ...(values['data-dir'] === undefined ? {} : { dataDir: values['data-dir'] }),
    ...(values['webhook-url'] === undefined ? {} : { webhookUrl: values['webhook-url'] }),
    ...(values['webhook-secret'] === undefined ? {} : { webhookSecret: values['webhook-secret'] }),
  });
  if (values.limits) double.limiter.enforce(githubLimits);
  for (const entry of values.repo) {
    const [name = '', directory] = entry.split('=');
    await double.createRepository({ name });
    if (directory) await double.push({ repo: name, directory, message: 'Start' });
  }
  const stop = () => {
    void double.close().then(() => process.exit(0));
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const { url, apiUrl, appId, privateKeyPath, webhookSecret, adminToken } = double;
  const environment = double.environment();
  process.stdout.write(
    `${JSON.stringify({ url, apiUrl, appId, privateKeyPath, webhookSecret, adminToken, environment })}\n`,
  );
}
