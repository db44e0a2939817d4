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

-- What a failed attempt means for the files of a revision. Looked for once.
CREATE TABLE failure_places (
  revision_id  bigint NOT NULL REFERENCES revisions (id) ON DELETE CASCADE,
  attempt_id   bigint NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
  -- Lines of the log that name a place in a file of the commit: file, line, column, level, message.
  places       jsonb NOT NULL DEFAULT '[]',
  -- Where the commit holds the hash that turned out wrong: file, line, the written form.
  hash_places  jsonb NOT NULL DEFAULT '[]',
  looked_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (revision_id, attempt_id)
);
CREATE INDEX failure_places_attempt ON failure_places (attempt_id);
