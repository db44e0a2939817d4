-- Who let a commit from outside be evaluated, and when.
ALTER TABLE revisions
  ADD COLUMN approved_by text,
  ADD COLUMN approved_at timestamptz;

-- When what stands on GitHub was last compared with what is to stand there.
ALTER TABLE revisions ADD COLUMN reconciled_at timestamptz;

-- When a branch or pull request was over: nobody waits for what only it brought.
ALTER TABLE revision_sources ADD COLUMN ended_at timestamptz;

-- Comments with commands: what came of them, until their authors have been told.
CREATE TABLE comment_answers (
  -- GitHub's id of the comment; a redelivery has the same.
  comment_id      bigint PRIMARY KEY,
  project_id      bigint NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  pull_request    bigint NOT NULL,
  author          text NOT NULL,
  -- One line for each command: what it was and what came of it. Markdown.
  lines           text[] NOT NULL,
  -- The reaction to the comment; null: none.
  reaction        text,
  -- Whether the lines are to be said in words: nobody needs to read that all went well.
  spoken          boolean NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  -- When GitHub had it; a failure that will not pass counts as told.
  told_at         timestamptz,
  problem         text
);
CREATE INDEX comment_answers_pull ON comment_answers (project_id, pull_request, created_at DESC);

-- Our one comment on a pull request, which is edited and never multiplied.
CREATE TABLE pull_request_comments (
  project_id         bigint NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  pull_request       bigint NOT NULL,
  github_comment_id  bigint NOT NULL,
  PRIMARY KEY (project_id, pull_request)
);

-- Deliveries that GitHub was asked to bring again, and how often.
CREATE TABLE redeliveries (
  guid      text PRIMARY KEY,
  tries     int NOT NULL,
  asked_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX redeliveries_asked ON redeliveries (asked_at);
