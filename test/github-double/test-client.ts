/** A client without manners, for the double's own tests: sends exactly what it is told. */
import { createSign } from 'node:crypto';
import type { GitHubDouble } from './index.ts';
import { asObject, type JsonObject } from './json.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: JsonObject;
  readonly text: string;
}

/** One request to the API; `body` is sent as JSON unless it is text. */
export async function send(
  double: GitHubDouble,
  method: string,
  path: string,
  authorization?: string,
  body?: unknown,
): Promise<Answer> {
  const response = await fetch(`${double.apiUrl}${path}`, {
    method,
    headers: authorization === undefined ? {} : { authorization },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = (response.headers.get('content-type') ?? '').includes('json');
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: isJson ? asObject(JSON.parse(text)) : {},
  };
}

/** An App JWT with the claims of one's choice. */
export function jwt(double: GitHubDouble, claims: JsonObject = {}, key = double.privateKey): string {
  const now = Math.floor(double.world.clock() / 1000);
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'RS256', typ: 'JWT' })}.${part({ iat: now - 30, exp: now + 570, iss: double.appId, ...claims })}`;
  return `Bearer ${signed}.${createSign('RSA-SHA256').update(signed).sign(key, 'base64url')}`;
}

/** An installation token of `owner`, as an Authorization header. */
export async function token(double: GitHubDouble, owner: string, narrowing?: JsonObject): Promise<string> {
  const path = `/app/installations/${double.installation(owner).id}/access_tokens`;
  const answer = await send(double, 'POST', path, jwt(double), narrowing);
  if (answer.status !== 201) throw new Error(`No token: ${answer.text}`);
  return `token ${String(answer.body.token)}`;
}

/** Each error's field and message of a 422. */
export function complaints(answer: Answer): string {
  return JSON.stringify(answer.body.errors ?? answer.body.message);
}
