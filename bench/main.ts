/** All measurements, one after the other: `npm run bench`. Each can also be run by itself. */
import { benchMainJob } from './main-job.ts';

await benchMainJob();
await import('./run.ts');
await import('./evaluation.ts');
await import('./evaluation-scale.ts');
await import('./daemon-builds.ts');
await import('./ssh.ts');
await import('./queue.ts');
await import('./agents.ts');
