/** What GitHub accepts as a check run. Sizes are bytes of UTF-8: documented as characters, enforced as bytes. */
import { z } from 'zod';
import { ApiError, type FieldError, validationFailed } from './api-error.ts';

export const outputLimitBytes = 65_535;
export const annotationsPerRequest = 50;
export const runsPerNameAndSuite = 1000;

/** `stale` is set by GitHub alone. */
export const conclusions = [
  'action_required',
  'cancelled',
  'failure',
  'neutral',
  'success',
  'skipped',
  'timed_out',
] as const;

const bytesAtMost = (limit: number) =>
  z.string().refine((text) => Buffer.byteLength(text) <= limit, {
    error: (issue) =>
      `Only ${limit} bytes are allowed; ${Buffer.byteLength(String(issue.input))} were supplied.`,
  });

const webUrl = z.string().refine((text) => /^https?:\/\/\S+$/.test(text), 'must use http or https scheme');

const time = z.iso.datetime({ offset: true });

const annotation = z
  .strictObject({
    path: z.string().min(1),
    start_line: z.int().min(1),
    end_line: z.int().min(1),
    start_column: z.int().min(1).optional(),
    end_column: z.int().min(1).optional(),
    annotation_level: z.enum(['notice', 'warning', 'failure']),
    message: bytesAtMost(64 * 1024).min(1),
    title: z.string().max(255).optional(),
    raw_details: bytesAtMost(64 * 1024).optional(),
  })
  .refine((a) => a.end_line >= a.start_line, 'end_line must not be before start_line')
  .refine(
    (a) => a.start_line === a.end_line || (a.start_column === undefined && a.end_column === undefined),
    'start_column and end_column need start_line and end_line to be the same',
  );

const output = z.strictObject({
  title: z.string().min(1),
  summary: bytesAtMost(outputLimitBytes),
  text: bytesAtMost(outputLimitBytes).optional(),
  annotations: z
    .array(annotation)
    .max(annotationsPerRequest, `No more than ${annotationsPerRequest} annotations per request`)
    .optional(),
  images: z
    .array(z.strictObject({ alt: z.string(), image_url: webUrl, caption: z.string().optional() }))
    .optional(),
});

const action = z.strictObject({
  label: z.string().min(1).max(20),
  description: z.string().min(1).max(40),
  identifier: z.string().min(1).max(20),
});

const mutable = {
  details_url: webUrl.optional(),
  external_id: z.string().optional(),
  // `waiting`, `requested` and `pending` belong to GitHub Actions.
  status: z.enum(['queued', 'in_progress', 'completed']).optional(),
  started_at: time.optional(),
  conclusion: z.enum(conclusions).optional(),
  completed_at: time.optional(),
  output: output.optional(),
  actions: z.array(action).max(3, 'No more than 3 actions').optional(),
};

interface Ending {
  readonly status?: string | undefined;
  readonly conclusion?: string | undefined;
  readonly completed_at?: string | undefined;
}

const saysHowItEnded = (run: Ending) =>
  run.conclusion !== undefined || (run.status !== 'completed' && run.completed_at === undefined);

const endsWithConclusion = {
  error: 'conclusion is required with status completed or completed_at',
  path: ['conclusion'],
};

const createSchema = z
  .strictObject({ name: z.string().min(1), head_sha: z.string().regex(/^[0-9a-f]{40}$/), ...mutable })
  .refine(saysHowItEnded, endsWithConclusion);

const updateSchema = z
  .strictObject({ name: z.string().min(1).optional(), ...mutable })
  .refine(saysHowItEnded, endsWithConclusion);

export type CheckRunInput = z.infer<typeof updateSchema>;
export type NewCheckRunInput = z.infer<typeof createSchema>;

/** The body of `POST check-runs`, or GitHub's 422. */
export function parseNewCheckRun(body: unknown): NewCheckRunInput {
  return parseBody(createSchema, body, 'CheckRun');
}

/** The body of `PATCH check-runs/:id`, or GitHub's 422. */
export function parseCheckRunUpdate(body: unknown): CheckRunInput {
  return parseBody(updateSchema, body, 'CheckRun');
}

/** Reads a body by its schema; what is wrong comes back in GitHub's error form. */
export function parseBody<T>(schema: z.ZodType<T>, body: unknown, resource: string): T {
  const parsed = schema.safeParse(body ?? {});
  if (parsed.success) return parsed.data;
  const unknownKeys = parsed.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys' ? issue.keys : [],
  );
  if (unknownKeys.length > 0) {
    const what = unknownKeys.map((key) => `"${key}" is not a permitted key.`).join(' ');
    throw new ApiError({ status: 422, message: `Invalid request.\n\n${what}` });
  }
  throw validationFailed(
    parsed.error.issues.map((issue): FieldError => {
      const missing = issue.code === 'invalid_type' && issue.message.endsWith('received undefined');
      return {
        resource,
        field: issue.path.join('.'),
        code: missing ? 'missing_field' : 'invalid',
        message: issue.message,
      };
    }),
  );
}
