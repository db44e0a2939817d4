-- Builds that succeeded and are built once more, to see whether the same comes out. What is found
-- stands beside the build, which never changes.
--   waiting <-> under way (an attempt of it runs) -> finished, with an outcome
CREATE TABLE build_checks (
  id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  build_id             bigint NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
  -- Who asked, for people.
  asked_by             text NOT NULL,
  -- `reproduced`, `not-possible`, `cancelled`, or how the second build ended: `non-deterministic`, `failed`, …
  outcome              text,
  message              text NOT NULL DEFAULT '',
  -- Machines that failed on it, and how often that happened.
  excluded_builder_ids bigint[] NOT NULL DEFAULT '{}',
  failures             int NOT NULL DEFAULT 0,
  created_at           timestamptz NOT NULL DEFAULT now(),
  finished_at          timestamptz,
  CHECK ((finished_at IS NULL) = (outcome IS NULL))
);
CREATE UNIQUE INDEX build_checks_one_unfinished ON build_checks (build_id) WHERE finished_at IS NULL;
CREATE INDEX build_checks_of_build ON build_checks (build_id, id DESC);
CREATE INDEX build_checks_unfinished ON build_checks (id) WHERE finished_at IS NULL;

ALTER TABLE attempts
  -- Built only for that check, not for the build.
  ADD COLUMN check_id bigint REFERENCES build_checks (id) ON DELETE CASCADE;
CREATE INDEX attempts_of_check ON attempts (check_id) WHERE check_id IS NOT NULL;
