# The red path: one attribute that does not evaluate, one build that fails with a log, one that
# fails because of it, and one that is good all the same.
{
  system ? builtins.currentSystem,
}:
let
  file =
    name: environment: script:
    derivation (
      environment
      // {
        inherit name system;
        builder = "/bin/sh";
        args = [
          "-eu"
          (builtins.toFile "${name}.sh" script)
        ];
      }
    );

  settings = {
    title = "The manual";
  };

  program = file "program" { } ''
    echo "compiling"
    echo "a program" > "$out"
  '';

  unitTests = file "unit-tests" { inherit program; } ''
    echo "running 3 tests"
    echo "ok 1 - it starts"
    echo "ok 2 - it says hello"
    echo "not ok 3 - it says goodbye"
    echo "  expected: goodbye"
    echo "  got:      (nothing)"
    exit 1
  '';
in
{
  inherit program;

  # Evaluation error: the attribute is called `title`.
  manual = file "manual" { inherit (settings) titel; } ''
    echo "$titel" > "$out"
  '';

  # Build failure.
  tests = {
    recurseForDerivations = true;
    unit = unitTests;
  };

  # Dependency failure: nothing is wrong with the release itself.
  release = file "release" { inherit program unitTests; } ''
    echo "released" > "$out"
  '';
}
