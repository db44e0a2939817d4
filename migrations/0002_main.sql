-- The main job: deliveries bring revisions, revisions are evaluated, jobs hang on builds,
-- builds are tried by attempts, and reports say on GitHub how it went.

CREATE TABLE installations (
  id             bigint PRIMARY KEY,           -- GitHub's installation id
  account_login  text NOT NULL,
  suspended      boolean NOT NULL DEFAULT false,
  deleted        boolean NOT NULL DEFAULT false,
  -- GitHub asked to be left alone until then (secondary rate limit, outage).
  paused_until   timestamptz,
  created_at     timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE projects (
  id                    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- Numeric ids survive renames and transfers; owner and name follow GitHub.
  github_repository_id  bigint NOT NULL UNIQUE,
  installation_id       bigint NOT NULL REFERENCES installations (id),
  owner                 text NOT NULL,
  name                  text NOT NULL,
  default_branch        text NOT NULL,
  private               boolean NOT NULL,
  enabled               boolean NOT NULL DEFAULT true,
  created_at            timestamptz NOT NULL DEFAULT now(),
  updated_at            timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX projects_full_name ON projects (lower(owner), lower(name));

-- Webhooks as they came in. `processed_at` null means that work remains.
CREATE TABLE deliveries (
  id            text PRIMARY KEY,              -- X-GitHub-Delivery; a redelivery has the same
  event         text NOT NULL,
  action        text,
  payload       jsonb NOT NULL,
  received_at   timestamptz NOT NULL DEFAULT now(),
  processed_at  timestamptz,
  outcome       text,                          -- what was done, for people
  error         text                           -- last failure while processing
);
CREATE INDEX deliveries_received ON deliveries (received_at);

-- A commit of a project. One row a commit, however many branches and pull requests bring it:
-- GitHub's checks belong to the commit, and its content decides the result.
CREATE TABLE revisions (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project_id   bigint NOT NULL REFERENCES projects (id),
  sha          text NOT NULL CHECK (sha ~ '^[0-9a-f]{40,64}$'),
  trust        text NOT NULL CHECK (trust IN ('trusted', 'needs-approval')),
  -- Why it needs approval, for people; null when trusted.
  trust_reason text,
  title        text NOT NULL DEFAULT '',       -- first line of the commit message or PR title
  author       text NOT NULL DEFAULT '',
  created_at   timestamptz NOT NULL DEFAULT now(),
  UNIQUE (project_id, sha)
);
CREATE INDEX revisions_newest ON revisions (project_id, id DESC);

-- Where a revision was seen: the head of a branch or of a pull request.
CREATE TABLE revision_sources (
  revision_id   bigint NOT NULL REFERENCES revisions (id) ON DELETE CASCADE,
  kind          text NOT NULL CHECK (kind IN ('branch', 'pull-request')),
  name          text NOT NULL,                 -- branch name, or pull request number
  -- What git must fetch to have the commit: refs/heads/main, refs/pull/7/head.
  git_ref       text NOT NULL,
  base_branch   text,                          -- pull requests only
  title         text NOT NULL DEFAULT '',
  seen_at       timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (revision_id, kind, name)
);

-- One evaluation of a revision.
--   queued -> evaluating -> building -> succeeded | failed
--   any state but the last two -> cancelled; evaluating -> queued when its process died.
CREATE TABLE evaluations (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  revision_id   bigint NOT NULL REFERENCES revisions (id),
  state         text NOT NULL DEFAULT 'queued'
                CHECK (state IN ('queued', 'evaluating', 'building', 'succeeded', 'failed', 'cancelled')),
  -- Who works on it while `evaluating`.
  process_id    bigint REFERENCES processes (id) ON DELETE SET NULL,
  tries         int NOT NULL DEFAULT 0,        -- starts that did not end because the server did
  postponed     int NOT NULL DEFAULT 0,        -- times it was put back because something was away
  not_before    timestamptz,                   -- git or the disk was away: try again then
  waiting_for   text,                          -- why it waits, for people
  file          text,
  evaluator     text,
  job_count     int NOT NULL DEFAULT 0,
  error_count   int NOT NULL DEFAULT 0,
  notices       jsonb NOT NULL DEFAULT '[]',
  queued_at     timestamptz NOT NULL DEFAULT now(),
  started_at    timestamptz,
  evaluated_at  timestamptz,
  finished_at   timestamptz
);
CREATE INDEX evaluations_revision ON evaluations (revision_id, id DESC);
CREATE INDEX evaluations_open ON evaluations (id) WHERE finished_at IS NULL;

-- The wish to realise one derivation. At most one unfinished build per derivation and trust domain;
-- finished builds never change again.
--   blocked -> queued -> building -> succeeded | failed | timed-out | cancelled | …
--   blocked -> dependency-failed; building -> queued when its builder or process was lost.
CREATE TABLE builds (
  id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  trust_domain       text NOT NULL DEFAULT 'trusted',
  drv_path           text NOT NULL,
  -- Only its inputs are wanted (development shells); it ends well as soon as they are there.
  inputs_only        boolean NOT NULL DEFAULT false,
  name               text NOT NULL,
  system             text NOT NULL,
  required_features  text[] NOT NULL DEFAULT '{}',
  outputs            jsonb NOT NULL DEFAULT '{}',
  state              text NOT NULL CHECK (state IN ('blocked', 'queued', 'building', 'succeeded', 'failed',
                       'dependency-failed', 'timed-out', 'silent-timeout', 'log-limit', 'output-mismatch',
                       'non-deterministic', 'unsupported-system', 'cancelled')),
  message            text NOT NULL DEFAULT '', -- Nix's words for a bad end
  culprit_build_id   bigint REFERENCES builds (id),
  pending_inputs     int NOT NULL DEFAULT 0,
  infrastructure_failures int NOT NULL DEFAULT 0,
  not_before         timestamptz,
  created_at         timestamptz NOT NULL DEFAULT now(),
  started_at         timestamptz,
  finished_at        timestamptz
);
CREATE UNIQUE INDEX builds_one_unfinished ON builds (trust_domain, drv_path, inputs_only) WHERE finished_at IS NULL;
CREATE INDEX builds_ready ON builds (id) WHERE state = 'queued';
CREATE INDEX builds_by_derivation ON builds (drv_path, id DESC);

-- `build_id` needs the outputs of `input_build_id`.
CREATE TABLE build_inputs (
  build_id        bigint NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
  input_build_id  bigint NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
  PRIMARY KEY (build_id, input_build_id)
);
CREATE INDEX build_inputs_reverse ON build_inputs (input_build_id);

-- One attribute of one evaluation: a derivation or an evaluation error.
CREATE TABLE jobs (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  evaluation_id  bigint NOT NULL REFERENCES evaluations (id) ON DELETE CASCADE,
  path           text[] NOT NULL,              -- the root job is the empty array
  drv_path       text,
  name           text,
  system         text,
  outputs        jsonb,
  mark           text NOT NULL DEFAULT 'regular',
  error          text,                         -- evaluation error; then drv_path is null
  error_file     text,
  error_line     int,
  error_column   int,
  build_id       bigint REFERENCES builds (id),
  -- All outputs were there already; `build_id` then is the build that made them, if it was ours.
  cached         boolean NOT NULL DEFAULT false,
  UNIQUE (evaluation_id, path)
);
CREATE INDEX jobs_build ON jobs (build_id);

CREATE TABLE builders (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name      text NOT NULL UNIQUE,
  kind      text NOT NULL,
  systems   text[] NOT NULL,
  features  text[] NOT NULL DEFAULT '{}',
  slots     int NOT NULL,
  -- The server process that drives it.
  process_id bigint REFERENCES processes (id) ON DELETE SET NULL,
  seen_at   timestamptz NOT NULL DEFAULT now()
);

-- One try of a build on one builder. `lost` attempts say nothing about the build.
CREATE TABLE attempts (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  build_id     bigint NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
  builder      text NOT NULL,
  process_id   bigint REFERENCES processes (id) ON DELETE SET NULL,
  state        text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'ended', 'lost')),
  status       text,                           -- RealiseStatus when ended
  message      text NOT NULL DEFAULT '',
  started_at   timestamptz NOT NULL DEFAULT now(),
  finished_at  timestamptz,
  log_bytes    bigint NOT NULL DEFAULT 0,
  log_lines    int NOT NULL DEFAULT 0,
  log_complete boolean NOT NULL DEFAULT false
);
CREATE INDEX attempts_build ON attempts (build_id, id DESC);
CREATE UNIQUE INDEX attempts_one_running ON attempts (build_id) WHERE state = 'running';

-- The log of an attempt, in pieces. Any replica can append and any can read.
CREATE TABLE log_chunks (
  attempt_id  bigint NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
  position    bigint NOT NULL,                 -- byte offset of the piece's first byte
  first_line  int NOT NULL,                    -- number of the piece's first line, from 0
  bytes       bytea NOT NULL,
  PRIMARY KEY (attempt_id, position)
);

-- What is to stand on GitHub for a revision: one row a check run or commit status, holding the
-- newest wish. `sent_version` follows `version`; the difference is the outbox.
CREATE TABLE reports (
  id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  revision_id      bigint NOT NULL REFERENCES revisions (id) ON DELETE CASCADE,
  installation_id  bigint NOT NULL,
  kind             text NOT NULL CHECK (kind IN ('check', 'status')),
  name             text NOT NULL,              -- check run name or status context
  desired          jsonb NOT NULL,
  desired_digest   text NOT NULL,
  version          int NOT NULL DEFAULT 1,
  sent_version     int NOT NULL DEFAULT 0,
  -- Lower is sooner: terminal before failure before progress.
  priority         int NOT NULL DEFAULT 100,
  github_id        bigint,                     -- check run id, once created
  tries            int NOT NULL DEFAULT 0,
  not_before       timestamptz,
  last_error       text,
  given_up         boolean NOT NULL DEFAULT false,
  updated_at       timestamptz NOT NULL DEFAULT now(),
  UNIQUE (revision_id, kind, name)
);
CREATE INDEX reports_unsent ON reports (installation_id, priority, id) WHERE sent_version < version AND NOT given_up;
