import type { ForgeLinks } from '../links.ts';
import type { AttemptRow, BuildRow, InputRow } from '../read/builds.ts';
import type { Evidence } from '../read/evidence.ts';
import type { JobHistoryRow, JobPlace, JobRow } from '../read/jobs.ts';
import type { BuilderRow } from '../read/machines.ts';
import type { ProjectRow } from '../read/projects.ts';
import type { RevisionLine } from '../read/revision-lines.ts';
import type { Frame } from './layout.tsx';
import type { LogView } from './log-view.tsx';

/** Everything the page of a job shows. */
export interface JobPage {
  readonly frame: Frame;
  readonly project: ProjectRow;
  readonly line: RevisionLine;
  readonly job: JobRow;
  readonly build: BuildRow | undefined;
  readonly attempts: readonly AttemptRow[];
  readonly inputs: readonly InputRow[];
  /** For what waits; else none. */
  readonly builders: readonly BuilderRow[];
  /** Where the builds that are named on the page can be read about. */
  readonly places: ReadonlyMap<number, JobPlace>;
  /** Why it failed, where it did. */
  readonly evidence: Evidence | undefined;
  readonly history: readonly JobHistoryRow[];
  readonly log: LogView | undefined;
  readonly forge: ForgeLinks;
  readonly now: Date;
}
