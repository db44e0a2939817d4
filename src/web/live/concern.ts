/** Milliseconds for which a revision that was not among those of a page is believed to be another's. */
const believedMs = 30_000;

/**
 * Says which revisions' changes a page is about, asking once for all of them and not for each change:
 * thousands may be under way that have nothing to do with it.
 */
export function createConcern(
  list: () => Promise<ReadonlySet<number>>,
  now: () => number = () => performance.now(),
): (revisionId: number) => Promise<boolean> {
  let asked = Number.NEGATIVE_INFINITY;
  let known: Promise<ReadonlySet<number>> = Promise.resolve(new Set());
  return async (revisionId) => {
    if ((await known.catch(() => new Set())).has(revisionId)) return true;
    if (now() - asked >= believedMs) {
      asked = now();
      known = list();
      known.catch(() => {
        asked = Number.NEGATIVE_INFINITY;
      });
    }
    return (await known).has(revisionId);
  };
}
