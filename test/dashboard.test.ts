// biome-ignore-all lint/performance/useDomNodeTextContent: Playwright's innerText is what a reader sees.
import type { FastifyInstance } from 'fastify';
import type { Browser } from 'playwright-core';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../src/basics/index.ts';
import { openLogWriter, packLogs } from '../src/logs/index.ts';
import { notify } from '../src/postgres/index.ts';
import { createTestDatabase, type TestDatabase } from '../src/postgres/test-database.ts';
import { chromiumInstalled, launchChromium } from './support/chromium.ts';
import { poorContrast, tooWide } from './support/page-checks.ts';
import { type SeededDashboard, seedDashboard } from './support/seed-dashboard.ts';
import { seedMachines } from './support/seed-machines.ts';
import { addChanges, addTag } from './support/seed-rows.ts';
import { fakeSetup } from './support/setup-pages.ts';
import { webUnderTest } from './support/web-under-test.ts';

describe.skipIf(!chromiumInstalled)('the dashboard in a browser', () => {
  let database: TestDatabase;
  let app: FastifyInstance;
  let browser: Browser;
  let address: string;
  let seeded: SeededDashboard;
  let machines: Awaited<ReturnType<typeof seedMachines>>;

  beforeAll(async () => {
    database = await createTestDatabase();
    seeded = await seedDashboard(database.knex, 900);
    machines = await seedMachines(database.knex);
    app = await webUnderTest(database);
    address = await app.listen({ port: 0, host: '127.0.0.1' });
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser.close();
    await app.close();
    await database.drop();
  });

  /** Opens a page and remembers what the browser complains of. */
  async function open(path: string, options: Parameters<Browser['newPage']>[0] = {}) {
    const page = await browser.newPage({
      viewport: { width: 1280, height: 800 },
      reducedMotion: 'reduce',
      ...options,
    });
    const complaints: string[] = [];
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    await page.goto(address + path);
    return { page, complaints };
  }

  const revisionPath = (sha: string) => `/acme/hello/commit/${sha}`;

  async function revisionId(sha: string): Promise<string> {
    const row: { id: number } = await database.knex('revisions').select('id').where({ sha }).first();
    return String(row.id);
  }

  const ofMachines = (sha: string, attribute = '') => `/acme/machines/commit/${sha}${attribute}`;
  const machinePaths = () => [
    ofMachines(machines.known),
    ofMachines(machines.superseded),
    ofMachines(machines.known, '/checks.first'),
    ofMachines(machines.known, '/checks.again'),
    ofMachines(machines.known, '/packages.source'),
    ofMachines(machines.waiting, '/tests.install'),
  ];

  it('leads from the project list to the line of a log that tells what failed', async () => {
    const { page, complaints } = await open('/');
    await page.getByRole('link', { name: 'acme/hello' }).click();
    await page.getByRole('link', { name: /#48/ }).click();
    await page.getByRole('link', { name: 'checks.x86_64-linux.test' }).click();
    const sentence = () => page.locator('.sentence').innerText();
    await expect.poll(sentence).toBe('failed with exit code 2 in 30 s on local');
    await page.getByRole('link', { name: 'First error: line 93' }).click();
    expect(page.url()).toMatch(/#L93$/);
    expect(await page.locator('.l:target').innerText()).toContain('implicit declaration');
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('shows a log’s markup as text', async () => {
    const { page } = await open(`${revisionPath(seeded.shas.red)}/checks.x86_64-linux.test`);
    expect(await page.locator('.log').innerText()).toContain('<script>alert("a log is text")</script>');
    expect(await page.locator('.log script').count()).toBe(0);
    await page.close();
  });

  it('changes what changed, and nothing else, when a build ends', async () => {
    await addChanges(database.knex, { sha: seeded.shas.running, baseSha: seeded.shas.green });
    const { page } = await open(revisionPath(seeded.shas.running));
    await page.locator('#changed summary').click();
    expect(await page.locator('#changed').innerText()).toMatch(/rebuilt[\s\S]*clippy[\s\S]*source of clippy/);
    const row = page.locator('.job-line', { hasText: 'clippy' });
    expect(await row.innerText()).toContain('building');
    await page.evaluate('window.sameDocument = true; scrollTo(0, 40)');
    await database
      .knex('builds')
      .where({ name: 'clippy', state: 'building' })
      .update({ state: 'succeeded', finished_at: new Date() });
    const telling = setInterval(
      async () => notify(database.knex, 'ringmaster_revision', await revisionId(seeded.shas.running)),
      100,
    );
    await expect.poll(() => row.innerText(), { timeout: 20_000 }).toContain('built');
    clearInterval(telling);
    expect(await page.evaluate('window.sameDocument')).toBe(true);
    expect(await page.locator('#changed li').first().isVisible(), 'what was unfolded stays so').toBe(true);
    await page.close();
  });

  it('follows a log as it is written until the reader scrolls up', async () => {
    const build: { id: number } = await database
      .knex('builds')
      .select('id')
      .where({ name: 'default', state: 'queued' })
      .first();
    const [attempt]: { id: number }[] = await database
      .knex('attempts')
      .insert({ build_id: build.id, builder: 'local' })
      .returning('id');
    await database
      .knex('builds')
      .where({ id: build.id })
      .update({ state: 'building', started_at: new Date() });
    const writer = openLogWriter({ db: database.knex, attemptId: attempt?.id ?? 0, log: silentLogger() });
    const { page } = await open(`${revisionPath(seeded.shas.running)}/packages.aarch64-linux.default`);
    const print = (from: number, to: number) => {
      for (let line = from; line <= to; line += 1) writer.line(Buffer.from(`line ${line} of many`));
    };
    print(1, 200);
    const follow = page.getByRole('button', { name: 'Follow' });
    await expect.poll(() => page.locator('#L200').isVisible(), { timeout: 20_000 }).toBe(true);
    await expect
      .poll(() => page.locator('#L200').evaluate((line) => line.getBoundingClientRect().top < 800))
      .toBe(true);
    expect(await follow.getAttribute('aria-pressed')).toBe('true');
    await page.mouse.move(400, 400);
    await page.mouse.wheel(0, -2_000);
    await expect.poll(() => follow.getAttribute('aria-pressed')).toBe('false');
    const before = await page.evaluate('scrollY');
    print(201, 400);
    await expect.poll(() => page.locator('#L400').count(), { timeout: 20_000 }).toBe(1);
    expect(await page.evaluate('scrollY')).toBe(before);
    await writer.finish();
    await expect.poll(() => follow.isVisible()).toBe(false);
    await page.close();
  });

  it('filters thousands of attributes on the server while one types', async () => {
    const { page } = await open(`/acme/packages/commit/${seeded.shas.huge}`);
    expect(await page.locator('.job-line').count()).toBe(200);
    await page.getByRole('searchbox', { name: 'Filter attributes' }).fill('firefox_4');
    await expect.poll(() => page.locator('.job-line').count(), { timeout: 20_000 }).toBeLessThan(20);
    expect(page.url()).toContain('q=firefox_4');
    await page.close();
  });

  it('finds a line of a long log that the page does not hold', async () => {
    const { page } = await open(revisionPath(seeded.shas.green));
    const build: { id: number } = await database
      .knex('builds')
      .select('builds.id')
      .join('jobs', 'jobs.build_id', 'builds.id')
      .join('evaluations', 'evaluations.id', 'jobs.evaluation_id')
      .join('revisions', 'revisions.id', 'evaluations.revision_id')
      .where({ sha: seeded.shas.green, 'builds.name': 'test' })
      .first();
    const [attempt]: { id: number }[] = await database
      .knex('attempts')
      .insert({ build_id: build.id, builder: 'local', state: 'ended', status: 'built' })
      .returning('id');
    const writer = openLogWriter({ db: database.knex, attemptId: attempt?.id ?? 0, log: silentLogger() });
    for (let line = 1; line <= 7_000; line += 1) writer.line(Buffer.from(`this is line ${line}`));
    await writer.finish();
    const job = `${address}${revisionPath(seeded.shas.green)}/checks.x86_64-linux.test`;
    await page.goto(job);
    expect(await page.locator('.l').count()).toBe(2_000);
    expect(await page.locator('.l').last().innerText()).toContain('this is line 7000');
    // Logs that are over are packed after a while; nobody is to notice.
    await packLogs(database.knex, 1_000);
    await page.goto(`${job}?x#L2345`);
    await expect
      .poll(() => page.locator('#L2345').innerText(), { timeout: 20_000 })
      .toContain('this is line 2345');
    await page.getByRole('link', { name: /^Earlier lines/ }).click();
    await expect
      .poll(() => page.locator('#L2000').innerText(), { timeout: 20_000 })
      .toContain('this is line 2000');
    await page.close();
  });

  it('says of every builder how it is, and the command that helps', async () => {
    const { page } = await open('/builders');
    const builder = (name: string) => page.locator('.builder-line', { hasText: name }).innerText();
    expect(await builder('mars')).toMatch(/ready[\s\S]*load 9\.6 on 16 cores[\s\S]*CPU pressure 34 %/);
    expect(await builder('only kvm')).toMatch(/building[\s\S]*1 of 1 slot/);
    expect(await builder('venus')).toMatch(
      /resting[\s\S]*another host key[\s\S]*give its new host key[\s\S]*3 times in a row; it is asked again in about/,
    );
    expect(await builder('ampere')).toContain('away');
    expect(await builder('loki')).toContain('quarantined');
    expect(await builder('newcomer')).toContain('ringmaster agent --server https://ci.example.org');
    expect(await page.locator('.builder-line', { hasText: 'gone' }).count()).toBe(0);
    const copies = page.locator('[data-copy="ringmaster builder enable pluto"]');
    expect(await copies.count()).toBe(1);
    await page.close();
  });

  it('says what runs where, and what each build waits for', async () => {
    const { page } = await open('/queue');
    const line = (name: string) => page.locator('.queue-line', { hasText: name }).innerText();
    expect(await line('vm-boot')).toMatch(/on kvm-only, buildPhase[\s\S]*left/);
    expect(await line('vm-install')).toMatch(/priority \+10[\s\S]*needs x86_64-linux, kvm/);
    expect(await line('vm-arm')).toContain('needs aarch64-linux: its 2 builders are away or resting');
    expect(await line('on-a-mac')).toContain('no builder has that');
    expect(await line('unlucky')).toMatch(/tried again in about[\s\S]*mars failed: no answer/);
    await page.close();
  });

  it('leads from what ended otherwise to what stands for it', async () => {
    const { page } = await open(ofMachines(machines.superseded));
    expect(await page.locator('#state').innerText()).toContain('superseded');
    await page.getByRole('link', { name: 'Test on real machines' }).first().click();
    await expect.poll(() => page.locator('.facts').innerText()).toMatch(/about .* left/);
    await page.goto(address + ofMachines(machines.known));
    expect(await page.locator('#state').innerText()).toContain('Approved by ada');
    expect(await page.locator('.job-line', { hasText: 'again' }).innerText()).toContain('not tried again');
    await page.getByRole('link', { name: 'checks.again' }).click();
    await page.getByRole('link', { name: /^build \d/ }).click();
    await expect.poll(() => page.title()).toContain('checks.first');
    expect(await page.locator('.attempts').innerText()).toMatch(
      /mars failed after[\s\S]*venus machine failed after[\s\S]*tried again on mars/,
    );
    await page.getByRole('navigation', { name: 'Phases' }).getByRole('link', { name: 'build' }).click();
    expect(page.url()).toMatch(/#L30$/);
    await page.goto(address + ofMachines(machines.known, '/packages.source'));
    expect(await page.locator('.hashes').innerText()).toContain('sha256-47DEQpj8');
    await page.goto(`${address}/acme/machines`);
    expect(await page.locator('#branches').innerText()).toContain('passed over');
    await page.close();
  });

  it('lists and finds tags, and says that a project is paused', async () => {
    const { page } = await open('/acme/old-experiments');
    expect(await page.locator('main').innerText()).toContain('The GitHub App may not see this repository');
    await database.knex('projects').where({ name: 'old-experiments' }).update({ paused_at: new Date() });
    await page.reload();
    expect(await page.locator('.banner').innerText()).toMatch(
      /paused this project[\s\S]*ringmaster project enable acme\/old-experiments/,
    );
    await addTag(database.knex, await revisionId(seeded.shas.green), 'v1.4.0');
    await page.goto(`${address}/acme/hello`);
    expect(await page.locator('#tags li').innerText()).toMatch(/v1\.4\.0[\s\S]*all good/);
    await page.goto(`${address}/search?q=v1.4`);
    await page.getByRole('link', { name: 'v1.4.0' }).click();
    expect(page.url()).toContain(seeded.shas.green);
    await page.close();
  });

  it('works without JavaScript', async () => {
    const { page } = await open('/', { javaScriptEnabled: false });
    await page.getByRole('searchbox', { name: /Search/ }).fill('kvm-test');
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'checks.x86_64-linux.kvm-test' }).first().click();
    expect(await page.locator('.message').innerText()).toContain('no builder has the features kvm');
    await page.close();
  });

  it('fits a small telephone and a very wide screen, in light and dark, without a complaint', async () => {
    const paths = [
      '/',
      '/queue',
      '/builders',
      '/search?q=test',
      '/acme/hello',
      `${revisionPath(seeded.shas.red)}`,
      ...machinePaths(),
      `${revisionPath(seeded.shas.red)}/checks.x86_64-linux.test`,
      `/lighthouse/infrastructure-of-the-harbour-and-its-many-machines/commit/${seeded.shas.errors}`,
    ];
    for (const [width, colorScheme] of [
      [360, 'dark'],
      [2_560, 'light'],
    ] as const) {
      const { page, complaints } = await open('/', { viewport: { width, height: 800 }, colorScheme });
      for (const path of paths) {
        await page.goto(address + path);
        expect(await page.evaluate(tooWide), `${path} at ${width} px`).toBe(0);
      }
      expect(complaints).toEqual([]);
      await page.close();
    }
  });

  it('sets up the App on pages that fit and can be read, whatever came of it', async () => {
    const { setup, hear } = fakeSetup();
    const server = await webUnderTest(database, { setup, metrics: new Registry() });
    const at = await server.listen({ port: 0, host: '127.0.0.1' });
    for (const [width, colorScheme] of [
      [360, 'dark'],
      [1_440, 'light'],
    ] as const) {
      const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
      const look = async (words: string) => {
        expect(await page.locator('main').innerText()).toContain(words);
        expect(await page.evaluate(poorContrast), words).toEqual([]);
        expect(await page.evaluate(tooWide), words).toBe(0);
      };
      for (const [token, words] of [
        ['waiting', 'Waiting for GitHub’s first message'],
        ['arrived', 'Ringmaster is connected'],
        ['begin', 'Address of this server'],
      ] as const) {
        await page.goto(`${at}/setup?token=${token}`);
        await look(words);
      }
      await page.getByRole('button', { name: 'Go on' }).click();
      await page.getByRole('button', { name: 'Create the App on GitHub' }).waitFor();
      await look('asks you to create it');
      await page.goto(`${at}/setup/callback?code=c&state=s`);
      await look('That did not work');
      await page.close();
    }
    const page = await browser.newPage();
    await page.goto(`${at}/setup?token=waiting`);
    expect(await page.locator('main').innerText()).toContain('Waiting for GitHub’s first message');
    hear();
    await expect.poll(() => page.locator('main').innerText(), { timeout: 20_000 }).toContain('is connected');
    await page.close();
    await server.close();
  });

  it('has text that can be read: contrast of at least 4.5 to 1', async () => {
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page } = await open(`${revisionPath(seeded.shas.red)}/checks.x86_64-linux.test`, {
        colorScheme,
      });
      expect(await page.evaluate(poorContrast), colorScheme).toEqual([]);
      for (const path of ['/builders', '/queue', revisionPath(seeded.shas.red), ...machinePaths()]) {
        await page.goto(address + path);
        expect(await page.evaluate(poorContrast), `${path}, ${colorScheme}`).toEqual([]);
      }
      await page.close();
    }
  });
});
