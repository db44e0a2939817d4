/** Files of trivial derivations in several shapes, and the order in which they can be built. */

export const shapes = ['independent', 'chain', 'diamond'] as const;
export type Shape = (typeof shapes)[number];

/** All of them have an attribute `job-N`, N from 0 in an order in which they can be built. */
export function ciNixOf(shape: Shape, count: number): string {
  return `let
  build = number: inputs: derivation {
    name = "trivial-\${toString number}";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "echo \${toString number} > $out" ];
    inherit inputs;
  };
  count = ${count};
  all = builtins.genList (number: build number (inputsOf number)) count;
  at = builtins.elemAt all;
  inputsOf = ${inputs[shape]};
in
builtins.listToAttrs (builtins.genList (number: {
  name = "job-\${toString number}";
  value = at number;
}) count)
`;
}

const inputs: Readonly<Record<Shape, string>> = {
  independent: 'number: [ ]',
  chain: 'number: if number == 0 then [ ] else [ (at (number - 1)) ]',
  // One below, one above, and all the others between them.
  diamond: `number:
    if number == 0 then [ ]
    else if number == count - 1 then builtins.genList (n: at (n + 1)) (count - 2)
    else [ (at 0) ]`,
};

/** Numbers of builds that may run at the same time, one group after the other. */
export function stagesOf(shape: Shape, count: number): readonly (readonly number[])[] {
  const numbers = Array.from({ length: count }, (_, number) => number);
  if (shape === 'independent') return [numbers];
  if (shape === 'chain') return numbers.map((number) => [number]);
  return [numbers.slice(0, 1), numbers.slice(1, -1), numbers.slice(-1)];
}
