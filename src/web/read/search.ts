import { z } from 'zod';
import { type Reader, readRows } from './reader.ts';

const hitShape = z.object({
  kind: z.enum(['project', 'revision', 'branch', 'pull-request', 'tag', 'attribute']),
  owner: z.string(),
  project: z.string(),
  sha: z.string().nullable(),
  label: z.string(),
  detail: z.string(),
  path: z.array(z.string()).nullable(),
});
export type SearchHit = z.infer<typeof hitShape>;

/** Newest evaluations that are searched for attributes and derivations. */
const searchedEvaluations = 200;

/** Shorter pieces are found in the hash of too many derivations. */
const pieceOfHash = 6;

/**
 * Finds projects, branches, pull requests, tags, commits, attributes and derivations by a piece of their
 * name; commits also by the start of their SHA, derivations by a piece of their path. A few of each, of an
 * attribute the newest.
 */
export async function search(reader: Reader, query: string): Promise<SearchHit[]> {
  const text = query.trim();
  if (text === '') return [];
  const sha = /^[0-9a-f]{4,64}$/i.test(text) ? text.toLowerCase() : '';
  return readRows(
    reader,
    hitShape,
    `(SELECT 'project' AS kind, p.owner, p.name AS project, NULL AS sha, '' AS label, '' AS detail, CAST(NULL AS text[]) AS path
      FROM projects p WHERE (:showPrivate OR NOT p.private)
        AND strpos(lower(p.owner || '/' || p.name), lower(:text)) > 0 ORDER BY p.id LIMIT 10)
     UNION ALL
     (SELECT 'revision', p.owner, p.name, r.sha, r.title, r.author, NULL FROM revisions r
      JOIN projects p ON p.id = r.project_id
      WHERE (:showPrivate OR NOT p.private)
        AND (:sha <> '' AND starts_with(r.sha, :sha) OR strpos(lower(r.title), lower(:text)) > 0)
      ORDER BY r.id DESC LIMIT 10)
     UNION ALL
     (SELECT s.kind, p.owner, p.name, CASE s.kind WHEN 'tag' THEN s.sha END, s.name, s.title, NULL
      FROM (SELECT kind, name, project_id, max(seen_at) AS seen_at,
              (array_agg(s.title ORDER BY seen_at DESC))[1] AS title,
              (array_agg(r.sha ORDER BY seen_at DESC))[1] AS sha FROM revision_sources s
            JOIN revisions r ON r.id = s.revision_id
            WHERE (strpos(lower(s.name), lower(:text)) > 0 OR strpos(lower(s.title), lower(:text)) > 0)
            GROUP BY 1, 2, 3) s
      JOIN projects p ON p.id = s.project_id
      WHERE (:showPrivate OR NOT p.private) ORDER BY s.seen_at DESC LIMIT 10)
     UNION ALL
     (SELECT 'attribute', owner, project, sha, label, detail, path
      FROM (SELECT DISTINCT ON (p.id, j.path) p.owner, p.name AS project, r.sha, coalesce(j.name, '') AS label,
              r.title AS detail, j.path, e.id
            FROM (SELECT id, revision_id FROM evaluations ORDER BY id DESC LIMIT ${searchedEvaluations}) e
            JOIN revisions r ON r.id = e.revision_id JOIN projects p ON p.id = r.project_id
            JOIN jobs j ON j.evaluation_id = e.id
            WHERE (:showPrivate OR NOT p.private)
              AND (strpos(lower(array_to_string(j.path, '.')), lower(:text)) > 0
                OR strpos(lower(coalesce(j.name, '')), lower(:text)) > 0
                OR length(:text) >= ${pieceOfHash} AND strpos(coalesce(j.drv_path, ''), :text) > 0)
            ORDER BY p.id, j.path, e.id DESC) newest
      ORDER BY id DESC, path LIMIT 25)`,
    { text, sha },
  );
}
