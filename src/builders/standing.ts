/** A builder that nothing is held against, as columns: a new one, and one that an operator has looked after. */
export const anew = {
  enabled: true,
  draining: false,
  removed_at: null,
  disabled_until: null,
  consecutive_failures: 0,
  last_error: null,
};
