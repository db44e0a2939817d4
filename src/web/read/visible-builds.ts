/**
 * Unfinished builds that visitors may see, as a part of a recursive WITH: everything a visible job
 * still needs, found from the jobs downwards, since whatever needs an unfinished build is unfinished
 * itself.
 */
export const visibleUnfinished = `visible (id) AS (
  SELECT b.id FROM builds b JOIN jobs j ON j.build_id = b.id JOIN evaluations e ON e.id = j.evaluation_id
  JOIN revisions r ON r.id = e.revision_id JOIN projects p ON p.id = r.project_id
  WHERE b.finished_at IS NULL AND (:showPrivate OR NOT p.private)
  UNION SELECT i.input_build_id FROM visible JOIN build_inputs i ON i.build_id = visible.id
  JOIN builds b ON b.id = i.input_build_id AND b.finished_at IS NULL)`;
