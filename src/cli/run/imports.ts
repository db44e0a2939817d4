/** What is built while evaluating (import from derivation), for whoever shows a run. */
import type { ImportEnd, OnImport } from '../../evaluations/index.ts';
import type { LogTails } from './log-tails.ts';

export type ImportEvent =
  | { readonly type: 'started'; readonly drvPath: string; readonly name: string }
  | { readonly type: 'phase'; readonly drvPath: string; readonly phase: string }
  | { readonly type: 'log'; readonly drvPath: string; readonly line: Buffer }
  | {
      readonly type: 'finished';
      readonly drvPath: string;
      readonly name: string;
      readonly end: ImportEnd;
      readonly seconds: number;
    };

/** Tells of each build, and keeps the ends of the logs. */
export function tellImports(tell: (event: ImportEvent) => void, tails: LogTails): OnImport {
  return ({ drvPath, name }) => {
    tell({ type: 'started', drvPath, name });
    return {
      line: (line) => {
        tails.add(drvPath, line);
        tell({ type: 'log', drvPath, line });
      },
      phase: (phase) => tell({ type: 'phase', drvPath, phase }),
      ended: (end) => {
        const seconds = (end.finishedAt.getTime() - end.startedAt.getTime()) / 1000;
        tell({ type: 'finished', drvPath, name, end, seconds });
      },
    };
  };
}
