-- What an evaluation changed against an earlier one: apart from the evaluations, which are read often.
CREATE TABLE evaluation_changes (
  evaluation_id       bigint PRIMARY KEY REFERENCES evaluations (id) ON DELETE CASCADE,
  -- Null when history has removed it.
  base_evaluation_id  bigint REFERENCES evaluations (id) ON DELETE SET NULL,
  base_sha            text NOT NULL,
  base_branch         text NOT NULL,
  -- Attributes added, removed, rebuilt, broken, repaired and unchanged; all of them are counted.
  counts              jsonb NOT NULL,
  -- The attributes themselves, as many as are kept: path, kind, cause.
  attributes          jsonb NOT NULL,
  compared_at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX evaluation_changes_base ON evaluation_changes (base_evaluation_id) WHERE base_evaluation_id IS NOT NULL;
