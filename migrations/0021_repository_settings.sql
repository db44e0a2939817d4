-- Settings that a repository holds in its default branch, and what they leave out.

CREATE TABLE project_settings (
  project_id  bigint PRIMARY KEY REFERENCES projects (id) ON DELETE CASCADE,
  -- The newest commit of the default branch that is known to hold `text`; null: read at its head.
  sha         text,
  -- The file as it was read; null: there is none, or it is none that could be read.
  text        text,
  -- What the last file without a problem says, under the file's keys. What it leaves out is not here.
  settings    jsonb NOT NULL DEFAULT '{}',
  -- What is wrong with `text`: a list of message and line.
  problems    jsonb NOT NULL DEFAULT '[]',
  -- When the delivery came for which it was read: older knowledge never overwrites newer.
  read_at     timestamptz NOT NULL
);

ALTER TABLE revisions
  -- About the settings file of this commit: what is wrong with it, or what it would change.
  ADD COLUMN settings_review jsonb;

ALTER TABLE revision_sources
  -- Why the settings leave the commit out where it was seen here; null: they do not.
  ADD COLUMN passed_over jsonb,
  DROP CONSTRAINT revision_sources_kind_check,
  ADD CONSTRAINT revision_sources_kind_check CHECK (kind IN ('branch', 'pull-request', 'tag'));
