-- What the outbox must remember to send each report exactly as often as needed.

ALTER TABLE reports
  -- The wish is the last word about this run: a completed check, a status that is not pending.
  ADD COLUMN terminal         boolean NOT NULL DEFAULT false,
  -- Which check run of this name: a run that has completed is not reopened, a new one follows it.
  ADD COLUMN run              int NOT NULL DEFAULT 1,
  -- GitHub has that run as completed.
  ADD COLUMN sent_completed   boolean NOT NULL DEFAULT false,
  -- A call was begun and its answer is not stored: GitHub may or may not have done it.
  ADD COLUMN uncertain        boolean NOT NULL DEFAULT false,
  -- Annotations that GitHub has, or may have. It appends them, so none is sent twice.
  ADD COLUMN annotations_sent int NOT NULL DEFAULT 0,
  -- GitHub refused the whole report: send the smallest one.
  ADD COLUMN degraded         boolean NOT NULL DEFAULT false,
  -- Progress waits until then; a terminal wish does not.
  ADD COLUMN progress_after   timestamptz;

-- For the sweep: gates that have not ended.
CREATE INDEX reports_open_gates ON reports (revision_id)
  WHERE kind = 'check' AND name = 'ringmaster' AND NOT terminal;
