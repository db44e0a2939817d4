-- Logs take less room when they are over, and say where phases begin.

ALTER TABLE log_chunks
  -- How `bytes` are packed; `position` and `first_line` always count what was printed.
  ADD COLUMN packing text CHECK (packing = 'gzip');

ALTER TABLE attempts ADD COLUMN log_packed boolean NOT NULL DEFAULT false;
CREATE INDEX attempts_to_pack ON attempts (id) WHERE log_complete AND NOT log_packed AND log_bytes > 0;

-- Where the phases of a build (unpackPhase, buildPhase, …) begin in the log of an attempt.
CREATE TABLE log_phases (
  attempt_id  bigint NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
  position    bigint NOT NULL,                 -- byte offset of the first byte after the beginning
  line        int NOT NULL,                    -- number of the first line after it, from 0
  name        text NOT NULL,
  PRIMARY KEY (attempt_id, position, name)
);

CREATE INDEX builds_cancel_requested ON builds (id) WHERE cancel_requested_at IS NOT NULL AND finished_at IS NULL;
