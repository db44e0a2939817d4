import { messageOf, OperatorError } from '../basics/index.ts';
import { isPassingError } from './connection-errors.ts';

/** Makes the rejection of a migration one that an operator can do something about. */
export function migrationFailed(name: string): (error: unknown) => never {
  return (error) => {
    // Given up on purpose; whoever did so knows.
    if (error instanceof Error && error.name === 'AbortError') throw error;
    if (!(error instanceof Error) || !('code' in error)) throw error;
    const mayNot = error.code === '42501';
    throw new OperatorError({
      code: 'migration-failed',
      message: `The migration ${name} of the database could not be applied: ${messageOf(error)}`,
      hint: mayNot
        ? 'Make the user of database.url the owner of its database: ALTER DATABASE name OWNER TO user.'
        : isPassingError(error)
          ? 'Nothing of it was changed. Start again when that is over.'
          : 'Nothing of it was changed; migrations before it stay. Please report it as a bug of Ringmaster.',
      ...(mayNot ? { exitStatus: 3 } : {}),
      cause: error,
    });
  };
}
