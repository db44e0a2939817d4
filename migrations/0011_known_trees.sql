-- An evaluation of files that another one is evaluating waits for that one, to stand on its result.

ALTER TABLE evaluations
  -- What is being evaluated while the state is `evaluating`: the key by which the result may be known.
  ADD COLUMN evaluating_key text,
  -- Not to be started while that one is still at it.
  ADD COLUMN waits_for bigint REFERENCES evaluations (id) ON DELETE SET NULL;
CREATE INDEX evaluations_evaluating_key ON evaluations (evaluating_key) WHERE state = 'evaluating';
CREATE INDEX evaluations_waits_for ON evaluations (waits_for) WHERE waits_for IS NOT NULL;

-- What a job asked of its build in `meta`, for evaluations that stand on this one.
ALTER TABLE jobs ADD COLUMN limits jsonb;
