/** All measurements, one after the other: `npm run bench`. Each can also be run by itself. */
import { benchMainJob } from './main-job.ts';

/** Parts that take long, or a machine of their own, by name: `npm run bench -- github`. */
const apart = new Map([['github', () => import('./github.ts')]]);
const [name = ''] = process.argv.slice(2);
const part = apart.get(name);
if (part) {
  await part();
  process.exit();
}

await benchMainJob();
await import('./run.ts');
await import('./evaluation.ts');
await import('./evaluation-scale.ts');
await import('./daemon-builds.ts');
await import('./ssh.ts');
await import('./queue.ts');
await import('./agents.ts');
