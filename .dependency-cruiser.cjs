/**
 * The house's walls: imports go down the list or along the flow, never back, never in a circle,
 * and enter a room through its one face, `index.ts`.
 */
const rows = [
  ['cli'],
  ['server'],
  ['github', 'web', 'agent'],
  ['reports', 'notifications'],
  ['evaluations'],
  ['builds'],
  ['builders'],
  ['cache', 'logs', 'projects'],
  ['nix', 'postgres', 'agent-protocol'],
  ['basics'],
];

/** A room may import the rows below its own, and nothing else. */
const layers = rows.flatMap((row, depth) =>
  row.map((room) => {
    const below = rows.slice(depth + 1).flat();
    return {
      name: `${room}-imports-downwards`,
      severity: 'error',
      from: { path: `^src/${room}/` },
      to: { path: '^src/', pathNot: [`^src/${room}/`, ...below.map((other) => `^src/${other}/`)] },
    };
  }),
);

module.exports = {
  forbidden: [
    { name: 'no-circles', severity: 'error', from: { path: '^src/' }, to: { circular: true } },
    {
      name: 'one-face-a-room',
      comment: 'Another room is entered through its index.ts.',
      severity: 'error',
      from: { path: '^src/([^/]+)/', pathNot: '(\\.test\\.tsx?|/test-[a-z-]+\\.ts)$' },
      to: {
        path: '^src/[^/]+/.+',
        pathNot: ['^src/$1/', '^src/[^/]+/index\\.ts$', '^src/basics/config/index\\.ts$'],
      },
    },
    {
      name: 'only-basics-starts-processes',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/basics/', '\\.test\\.tsx?$'] },
      to: { path: '^(node:)?child_process$' },
    },
    {
      name: 'only-github-knows-octokit',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/github/' },
      to: { path: 'node_modules/(probot|@octokit)' },
    },
    {
      name: 'no-development-packages-in-the-product',
      severity: 'error',
      from: { path: '^src/', pathNot: '(\\.test\\.tsx?|/test-[a-z-]+\\.ts)$' },
      to: { dependencyTypes: ['npm-dev'], pathNot: 'node_modules/@types/' },
    },
    ...layers,
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
