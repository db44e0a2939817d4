-- Whether the account has granted the App 'contents: write', which it needs for committing hashes alone;
-- null: GitHub has not been asked.
ALTER TABLE installations
  ADD COLUMN may_commit boolean,
  ADD COLUMN may_commit_asked_at timestamptz;

-- Somebody pressed 'Apply hash' on a check of a download whose hash is another than promised.
--   asked -> ended (applied or not, outcome)
CREATE TABLE hash_applications (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  revision_id  bigint NOT NULL REFERENCES revisions (id) ON DELETE CASCADE,
  -- As Nix writes them.
  specified    text NOT NULL,
  got          text NOT NULL,
  -- What the build is called, for the commit's message.
  name         text NOT NULL,
  asked_by     text NOT NULL,
  asked_at     timestamptz NOT NULL DEFAULT now(),
  ended_at     timestamptz,
  -- The hash was committed or suggested: there is nothing more to press.
  applied      boolean NOT NULL DEFAULT false,
  -- What came of it: a sentence for people.
  outcome      text
);
-- One at a time for each hash of a commit.
CREATE UNIQUE INDEX hash_applications_open ON hash_applications (revision_id, specified) WHERE ended_at IS NULL;
CREATE INDEX hash_applications_revision ON hash_applications (revision_id, specified, id DESC);
