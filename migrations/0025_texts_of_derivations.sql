-- What builders need to know of a build, so that nobody has to write its derivation into a store first.
-- Beside the builds, whose rows are written anew with each change of state.
CREATE TABLE build_derivations (
  build_id   bigint PRIMARY KEY REFERENCES builds (id) ON DELETE CASCADE,
  -- As in its `.drv` file, but with all its inputs as paths.
  derivation bytea NOT NULL
);

-- Of no use once the build has ended, in whichever of the many ways.
CREATE FUNCTION drop_build_derivation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM build_derivations WHERE build_id = NEW.id;
  RETURN NULL;
END
$$;
CREATE TRIGGER build_ended AFTER UPDATE OF finished_at ON builds FOR EACH ROW
  WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL) EXECUTE FUNCTION drop_build_derivation();
