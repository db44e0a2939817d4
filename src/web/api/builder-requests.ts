/** What all routes of builders share: finding the one that is meant, and refusals as answers. */
import { OperatorError } from '../../basics/index.ts';
import { notFound, problem } from '../problem.ts';
import { type BuilderRow, readBuilder } from '../read/machines.ts';
import type { Reader } from '../read/reader.ts';

export async function needBuilder(reader: Reader, id: number): Promise<BuilderRow> {
  const found = await readBuilder(reader, id);
  if (!found) throw notFound('builder');
  return found;
}

const statuses = new Map([
  ['builder-described-elsewhere', 409],
  ['builder-exists', 409],
  ['builder-invalid', 400],
  ['not-an-agent', 409],
  ['unknown-builder', 404],
]);

/** What the registry refuses, as answers; its hints speak of the command line and stay out. */
export async function asProblems<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const status = error instanceof OperatorError ? statuses.get(error.code) : undefined;
    if (!(error instanceof OperatorError) || status === undefined) throw error;
    throw problem(status, error.code, error.message);
  }
}
