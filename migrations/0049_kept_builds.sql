-- Builds whose results somebody wants to keep, whatever becomes of the branch that had them: releases.
-- Beside the build, which is over and never changes.
CREATE TABLE kept_builds (
  -- Without a cascade: history that removes it at this very moment fails, and leaves it next time.
  build_id  bigint PRIMARY KEY REFERENCES builds (id),
  kept_by   text NOT NULL,                     -- for people
  kept_at   timestamptz NOT NULL DEFAULT now()
);
