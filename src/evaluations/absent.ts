/** What is said where a checkout lacks what a person's clone has: submodules, and files in Git LFS. */
import type { Absent } from '../projects/index.ts';
import type { EvaluationEvent } from './events.ts';

const howToFetch = "set 'submodules = true' in .github/ringmaster.toml of the default branch";

/**
 * Says first what is not there, since code that copies a folder does not fail for it, and again at errors
 * that come of it.
 */
export async function* withAbsent(
  events: AsyncIterable<EvaluationEvent>,
  absent: Absent | undefined,
): AsyncGenerator<EvaluationEvent> {
  for (const message of noticesOf(absent)) yield { type: 'notice', message };
  for await (const event of events) {
    const help = event.type === 'error' ? adviceOn(event.message, absent) : undefined;
    if (event.type !== 'error' || help === undefined) yield event;
    else yield { ...event, message: withHelp(event.message, help) };
  }
}

function noticesOf(absent: Absent | undefined): readonly string[] {
  const { submodules = [], pointers = [] } = absent ?? {};
  const notices: string[] = [];
  if (submodules.length > 0) {
    notices.push(
      `Submodules are not fetched, so their folders are empty: ${listed(submodules)}. To have them, ${howToFetch}.`,
    );
  }
  if (pointers.length > 0) {
    notices.push(
      `What Git LFS keeps is not fetched, so evaluations and builds see pointers in its place: ${listed(pointers)}. A build can fetch it, with its hash.`,
    );
  }
  return notices;
}

function adviceOn(message: string, absent: Absent | undefined): string | undefined {
  const causes = message.split('\n').filter((line) => /^\s*error: /.test(line));
  const missing = absent?.submodules.find((path) =>
    causes.some((line) => line.includes(`'${path}/`) || line.includes(`'${path}'`)),
  );
  if (missing === undefined) return undefined;
  return `'${missing}' is a submodule, and those are not fetched: ${howToFetch}, or fetch it with builtins.fetchGit`;
}

/** In the place of the general advice on a file that is not there, which says less. */
function withHelp(message: string, help: string): string {
  const general = /\n\nhelp: .*/;
  const words = `\n\nhelp: ${help}`;
  return general.test(message) ? message.replace(general, () => words) : message + words;
}

/** The first few, for one line. */
function listed(names: readonly string[]): string {
  const shown = names.slice(0, 5).map((name) => `'${name.slice(0, 200)}'`);
  const more = names.length - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ');
}
