-- For what every server asks every few seconds, however long the history has become.
CREATE INDEX evaluations_queued ON evaluations (id) WHERE state = 'queued';
CREATE INDEX evaluations_evaluating ON evaluations (id) WHERE state = 'evaluating';
CREATE INDEX revisions_created ON revisions (created_at);

-- For the end of a process, which sets its references to null. Only what runs has any.
UPDATE attempts SET process_id = NULL WHERE state <> 'running' AND process_id IS NOT NULL;
CREATE INDEX attempts_process ON attempts (process_id) WHERE process_id IS NOT NULL;
CREATE INDEX evaluations_process ON evaluations (process_id) WHERE process_id IS NOT NULL;
