-- Files, texts and fetched trees that evaluations of a project added to the store: later evaluations
-- of the same project may use them without adding them again.
CREATE TABLE evaluated_paths (
  project_id bigint NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  -- Whether trusted code added it. Neither kind of code may use what the other one added.
  trusted    boolean NOT NULL,
  path       text NOT NULL,
  -- When it was last added, to the day.
  seen_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project_id, trusted, path)
);
CREATE INDEX evaluated_paths_seen ON evaluated_paths (seen_at);
