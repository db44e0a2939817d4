-- Jobs come by the thousand. What they refer to is checked once a statement instead of once a row, as
-- foreign keys do it: two thirds of the time that a known tree of many attributes took went into those.
-- The promises are the same: no job without its evaluation, or hanging on a build that is not there.
ALTER TABLE jobs DROP CONSTRAINT jobs_evaluation_id_fkey, DROP CONSTRAINT jobs_build_id_fkey;

-- Between those who hang jobs on builds, any number of them, and those who remove builds. Arbitrary.
CREATE FUNCTION jobs_hang_on_builds_lock() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 7464100034';

-- Each statement of these functions sees what was committed while it waited for the locks before it.
CREATE FUNCTION check_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  wanted bigint[] := ARRAY(SELECT DISTINCT evaluation_id FROM written);
  found_number int;
BEGIN
  -- Whoever removes one of them waits until this transaction has ended, and then removes the jobs as well.
  PERFORM FROM evaluations WHERE id = ANY (wanted) ORDER BY id FOR KEY SHARE;
  GET DIAGNOSTICS found_number = ROW_COUNT;
  IF found_number < cardinality(wanted) THEN
    RAISE EXCEPTION 'a job refers to an evaluation that is not there' USING ERRCODE = 'foreign_key_violation';
  END IF;
  IF EXISTS (SELECT FROM written WHERE build_id IS NOT NULL) THEN
    PERFORM pg_advisory_xact_lock_shared(jobs_hang_on_builds_lock());
    IF EXISTS (SELECT FROM written w WHERE w.build_id IS NOT NULL
                 AND NOT EXISTS (SELECT FROM builds b WHERE b.id = w.build_id)) THEN
      RAISE EXCEPTION 'a job refers to a build that is not there' USING ERRCODE = 'foreign_key_violation';
    END IF;
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER jobs_added AFTER INSERT ON jobs REFERENCING NEW TABLE AS written
  FOR EACH STATEMENT EXECUTE FUNCTION check_jobs();
CREATE TRIGGER jobs_changed AFTER UPDATE ON jobs REFERENCING NEW TABLE AS written
  FOR EACH STATEMENT EXECUTE FUNCTION check_jobs();

CREATE FUNCTION remove_jobs_of_evaluations() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM jobs WHERE evaluation_id IN (SELECT id FROM removed);
  RETURN NULL;
END
$$;
CREATE TRIGGER evaluations_removed AFTER DELETE ON evaluations REFERENCING OLD TABLE AS removed
  FOR EACH STATEMENT EXECUTE FUNCTION remove_jobs_of_evaluations();

CREATE FUNCTION keep_builds_of_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM removed) THEN
    RETURN NULL;
  END IF;
  PERFORM pg_advisory_xact_lock(jobs_hang_on_builds_lock());
  IF EXISTS (SELECT FROM jobs WHERE build_id IN (SELECT id FROM removed)) THEN
    RAISE EXCEPTION 'a job hangs on the build' USING ERRCODE = 'foreign_key_violation';
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER builds_removed AFTER DELETE ON builds REFERENCING OLD TABLE AS removed
  FOR EACH STATEMENT EXECUTE FUNCTION keep_builds_of_jobs();
