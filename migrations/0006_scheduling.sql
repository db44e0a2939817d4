-- What scheduling on many machines needs to know.

ALTER TABLE builders
  -- How it is reached: ssh-ng://HOST; null for the server's own machine and for agents.
  ADD COLUMN uri                  text,
  -- It takes only builds that require all of these; they are among `features` as well.
  ADD COLUMN mandatory_features   text[] NOT NULL DEFAULT '{}',
  -- Compared with the others: 2 is twice as fast.
  ADD COLUMN speed                real NOT NULL DEFAULT 1 CHECK (speed > 0),
  ADD COLUMN trust_domains        text[] NOT NULL DEFAULT '{trusted}',
  ADD COLUMN enabled              boolean NOT NULL DEFAULT true,
  -- Finishes what it has and takes nothing new.
  ADD COLUMN draining             boolean NOT NULL DEFAULT false,
  -- Who says that it exists: itself while it runs, the configuration, or an operator.
  ADD COLUMN source               text NOT NULL DEFAULT 'serve' CHECK (source IN ('serve', 'config', 'api')),
  ADD COLUMN token_hash           bytea,
  ADD COLUMN settings             jsonb NOT NULL DEFAULT '{}',
  -- Troubles of the machine in a row; any attempt that is not one sets it to 0.
  ADD COLUMN consecutive_failures int NOT NULL DEFAULT 0,
  ADD COLUMN disabled_until       timestamptz,
  ADD COLUMN last_error           text,
  ADD COLUMN load                 jsonb,
  ADD COLUMN version              text,
  ADD COLUMN removed_at           timestamptz;
CREATE UNIQUE INDEX builders_token ON builders (token_hash) WHERE token_hash IS NOT NULL;
CREATE INDEX builders_process ON builders (process_id) WHERE process_id IS NOT NULL;

ALTER TABLE attempts
  ADD COLUMN builder_id   bigint REFERENCES builders (id) ON DELETE SET NULL,
  -- Only of agents' attempts, which outlive the server process: until then it is not given to others.
  ADD COLUMN lease_until  timestamptz,
  -- The server process that held it before it was adopted, where that is known.
  ADD COLUMN adopted_from bigint,
  ADD COLUMN phase        text;
CREATE INDEX attempts_running_on ON attempts (builder_id) WHERE state = 'running';

ALTER TABLE builds
  -- The project that wanted it first.
  ADD COLUMN project_id           bigint,
  -- Higher is sooner.
  ADD COLUMN priority             int NOT NULL DEFAULT 0,
  -- The longest path from the start of this build to the end of all that waits for it, from history.
  ADD COLUMN remaining_ms         bigint NOT NULL DEFAULT 0,
  -- From the derivation's meta; null: the server's setting.
  ADD COLUMN timeout_seconds      int,
  ADD COLUMN max_silent_seconds   int,
  -- Machines that failed while they built it.
  ADD COLUMN excluded_builder_ids bigint[] NOT NULL DEFAULT '{}',
  -- The build whose failure stands for this one's.
  ADD COLUMN cached_failure_of    bigint REFERENCES builds (id) ON DELETE SET NULL,
  ADD COLUMN cancel_requested_at  timestamptz;
CREATE INDEX builds_cached_failure_of ON builds (cached_failure_of) WHERE cached_failure_of IS NOT NULL;

-- Machines that fail are ends of their own: they say nothing about the derivation.
ALTER TABLE builds DROP CONSTRAINT builds_state_check;
ALTER TABLE builds ADD CONSTRAINT builds_state_check CHECK (state IN ('blocked', 'queued', 'building',
  'succeeded', 'failed', 'dependency-failed', 'timed-out', 'silent-timeout', 'log-limit', 'output-mismatch',
  'non-deterministic', 'unsupported-system', 'out-of-disk', 'builder-lost', 'cancelled'));

-- Ready builds by lane (who may take them, and for whom they are) and in the order of a lane. Lanes are
-- found by jumping from one to the next, so looking costs the same however long the queue is.
CREATE INDEX builds_lanes ON builds
  (trust_domain, system, required_features, (coalesce(project_id, 0)), priority DESC, remaining_ms DESC, id)
  WHERE state = 'queued';
DROP INDEX builds_ready;
-- How much each project has running, for fair shares.
CREATE INDEX builds_building ON builds (project_id) WHERE state = 'building';

-- How long builds took: running means, whoever wanted them.
CREATE TABLE build_durations (
  name        text NOT NULL,
  system      text NOT NULL,
  mean_ms     double precision NOT NULL,
  samples     int NOT NULL,
  updated_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (name, system)
);
