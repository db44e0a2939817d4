/** Builders ask for variables of whoever runs them: what they get holds no settings. */
import { expect, test } from 'vitest';
import { nixesUnderTest, openTestNix } from './test-nix.ts';

test.each(nixesUnderTest)(
  "a builder cannot read the operator's settings, which hold, with $name",
  async (under) => {
    const config =
      'access-tokens = github.com=a-secret-token\nmax-build-log-size = 0\nsystem-features = of-the-operator';
    const it = await openTestNix({ ...under, env: { ...under.env, NIX_CONFIG: config } });
    try {
      const printed = async (attributes: string) => {
        const lines: string[] = [];
        const [drvPath = ''] =
          await it.instantiate(`derivation ({ name = "reads"; system = builtins.currentSystem;
        builder = "/bin/sh"; args = [ "-c" "export; env; echo > $out" ]; } // ${attributes})`);
        const { status } = await it.store.realise({
          drvPath,
          signal: new AbortController().signal,
          timeoutSeconds: 0,
          maxSilentSeconds: 0,
          onLogLine: (line) => lines.push(line.toString()),
        });
        return { status, text: lines.join('\n') };
      };
      const asked = await printed(`{ impureEnvVars = [ "NIX_CONFIG" "NIX_USER_CONF_FILES" ];
      outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" "\\n"; }`);
      expect(asked.status).toBe('built');
      expect(asked.text).toContain('NIX_USER_CONF_FILES');
      expect(asked.text).not.toContain('a-secret-token');
      expect(await printed('{ requiredSystemFeatures = [ "of-the-operator" ]; }')).toMatchObject({
        status: 'built',
      });
    } finally {
      await it.close();
    }
  },
);
