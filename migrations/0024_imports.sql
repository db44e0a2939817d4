-- Import from derivation: builds that take place because an evaluation reads what they make.

CREATE TABLE evaluation_imports (
  evaluation_id  bigint NOT NULL REFERENCES evaluations (id) ON DELETE CASCADE,
  build_id       bigint NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
  PRIMARY KEY (evaluation_id, build_id)
);
CREATE INDEX evaluation_imports_build ON evaluation_imports (build_id);

-- The evaluation that has it built by itself. It ends with the evaluation, and no builder goes on with it.
ALTER TABLE attempts ADD COLUMN evaluation_id bigint REFERENCES evaluations (id) ON DELETE SET NULL;
CREATE INDEX attempts_of_evaluations ON attempts (evaluation_id) WHERE evaluation_id IS NOT NULL;
