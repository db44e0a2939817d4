import type { CheckRun, GitHubDouble } from '../github-double/index.ts';

/** Waits until everything GitHub shows of a commit has ended; returns the newest run of each name. */
export async function verdictOn(
  double: GitHubDouble,
  sha: string,
  timeoutMs = 60_000,
): Promise<ReadonlyMap<string, CheckRun>> {
  await double.waitFor(
    () => {
      const runs = [...double.latestCheckRuns(sha).values()];
      const gate = runs.find((run) => run.name === 'ringmaster');
      const status = double.latestStatuses(sha).get('ringmaster/ci')?.state;
      // A revision that waits for a person keeps its status pending.
      const waiting = gate?.conclusion === 'action_required';
      const settled = status !== undefined && (waiting || status !== 'pending');
      return gate?.status === 'completed' && settled && runs.every((run) => run.status === 'completed');
    },
    { timeoutMs, description: `the verdict on ${sha}` },
  );
  return double.latestCheckRuns(sha);
}

export function conclusions(
  checks: ReadonlyMap<string, { readonly conclusion: string | null }>,
): Record<string, string | null> {
  return Object.fromEntries([...checks].map(([name, run]) => [name, run.conclusion]));
}
