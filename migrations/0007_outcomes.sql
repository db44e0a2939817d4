-- Ends that people ask for, ends that are known, and who may ask.

ALTER TABLE evaluations
  -- Why it was cancelled, as a sentence.
  ADD COLUMN cancel_reason text,
  -- The evaluation of a newer commit of the same branch or pull request that took its place.
  ADD COLUMN superseded_by bigint REFERENCES evaluations (id) ON DELETE SET NULL;
CREATE INDEX evaluations_superseded_by ON evaluations (superseded_by) WHERE superseded_by IS NOT NULL;

ALTER TABLE builds
  -- Why `cancel_requested_at` was set, as a sentence; becomes the message of the end.
  ADD COLUMN cancel_reason text,
  -- A download: a plain failure may be the network's fault, and is not remembered.
  ADD COLUMN fixed_output boolean NOT NULL DEFAULT false,
  -- Of an output-mismatch: the hash the derivation promises and the one its output has.
  ADD COLUMN specified_hash text,
  ADD COLUMN got_hash text;
-- For the checks of references when old builds are removed, and for finding the old ones.
CREATE INDEX builds_culprit ON builds (culprit_build_id) WHERE culprit_build_id IS NOT NULL;
CREATE INDEX builds_finished ON builds (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX evaluations_finished ON evaluations (finished_at) WHERE finished_at IS NOT NULL;

-- Failures before that moment do not stand for new wishes any more: somebody asked for another try.
CREATE TABLE forgotten_failures (
  trust_domain  text NOT NULL DEFAULT 'trusted',
  drv_path      text NOT NULL,
  forgotten_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (trust_domain, drv_path)
);
CREATE INDEX forgotten_failures_age ON forgotten_failures (forgotten_at);

-- Who may use the API besides visitors. The token itself is shown once and not kept.
CREATE TABLE api_tokens (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name          text NOT NULL,
  scope         text NOT NULL CHECK (scope IN ('read', 'admin')),
  token_hash    bytea NOT NULL UNIQUE,         -- SHA-256 of the token
  created_at    timestamptz NOT NULL DEFAULT now(),
  last_used_at  timestamptz,
  revoked_at    timestamptz
);
