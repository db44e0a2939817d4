-- Where in the files of a commit the log of a failed build says that something is wrong. Found once and
-- never changed once it is shown: GitHub appends annotations.
CREATE TABLE build_places (
  revision_id  bigint NOT NULL REFERENCES revisions (id) ON DELETE CASCADE,
  attempt_id   bigint NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
  -- [{path, line, column?, message, level}]
  places       jsonb NOT NULL DEFAULT '[]',
  -- The files could not be asked yet (git away, mirror busy): a task asks again.
  pending      boolean NOT NULL DEFAULT false,
  PRIMARY KEY (revision_id, attempt_id)
);
CREATE INDEX build_places_attempt ON build_places (attempt_id);
