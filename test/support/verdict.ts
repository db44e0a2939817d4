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
      if (gate?.status !== 'completed' || !settled) return false;
      // The gate is told first; the checks of its attributes may still have to be made.
      const judged = gate.conclusion === 'success' || gate.conclusion === 'failure';
      if (judged && runs.length < checksBehind(gate)) return false;
      return runs.every((run) => run.status === 'completed');
    },
    { timeoutMs, description: `the verdict on ${sha}` },
  );
  return double.latestCheckRuns(sha);
}

/** How many runs a judged commit has in the end, its gate among them: the gate counts its attributes. */
function checksBehind(gate: CheckRun): number {
  const summary = gate.summary ?? '';
  const counted = /^Attributes: (.+)\.$/m.exec(summary)?.[1];
  if (!counted) return summary.includes('The evaluation failed as a whole') ? 2 : 1;
  const attributes = counted.split(', ').reduce((sum, part) => sum + Number.parseInt(part, 10), 0);
  // More than 40 do not all have one of their own.
  return 2 + (attributes <= 40 ? attributes : 0);
}

export function conclusions(
  checks: ReadonlyMap<string, { readonly conclusion: string | null }>,
): Record<string, string | null> {
  return Object.fromEntries([...checks].map(([name, run]) => [name, run.conclusion]));
}
