# The little of nixpkgs that nix/ uses, as strict as the real one where mistakes are likely: arguments and options
# that there are not, packages that lack an address or a hash, files that are missing. Nothing is built with it.
{ root, system }:

let
  inherit (builtins) all attrNames concatStringsSep elem elemAt filter fromJSON isString length mapAttrs match pathExists readFile split;

  fake = name: meta: derivation { inherit name system; builder = "/bin/sh"; } // { inherit meta; };

  lib = rec {
    inherit all attrNames concatStringsSep elem mapAttrs;
    importJSON = file: fromJSON (readFile file);
    last = list: elemAt list (length list - 1);
    splitString = by: text: filter isString (split by text);
    optional = yes: one: if yes then [ one ] else [ ];
    optionalString = yes: text: if yes then text else "";
    mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
    makeBinPath = list: concatStringsSep ":" (map (one: "${one}/bin") list);
    getExe = drv: "${drv}/bin/${drv.meta.mainProgram or (throw "${drv.name} has no meta.mainProgram")}";
    meta.availableOn = platform: _package: platform ? system;
    licenses.mpl20 = "MPL-2.0";
    platforms = {
      linux = [ "x86_64-linux" "aarch64-linux" ];
      darwin = [ "x86_64-darwin" "aarch64-darwin" ];
    };
    fileset = {
      maybeMissing = path: if pathExists path then [ path ] else [ ];
      unions = list: builtins.concatLists (map (one:
        if builtins.isList one then one
        else if pathExists one then [ one ]
        else throw "lib.fileset.unions: ${toString one} does not exist") list);
      toSource = { root, fileset }: all (one: match "${toString root}/.*" (toString one) != null) fileset || throw "outside of root";
    };
    mkOption =
      { type, default ? null, defaultText ? null, example ? null, description }:
      { _type = "option"; inherit type default; };
    mkEnableOption = what: mkOption { type = types.bool; default = false; description = "Whether to enable ${what}."; };
    literalExpression = text: { inherit text; };
    mkIf = condition: content: { _type = "if"; inherit condition content; };
    mkDefault = value: { _type = "override"; inherit value; };
    types = {
      bool = "bool";
      package = "package";
      str = "str";
      attrsOf = of: { attrsOf = of; };
      submodule = { freeformType }: { inherit freeformType; };
    };
  };

  fetchurl = { url, hash }:
    if match "sha(256|512)-[A-Za-z0-9+/=]+" hash == null then throw "no hash: ${hash}" else "/fetched/${baseNameOf url}";

  # As in pkgs/build-support/node/import-npm-lock: every direct dependency needs an address.
  importNpmLock = {
    __functor = _self: { package, packageLock }:
      let
        resolved = mapAttrs (_path: entry:
          if entry ? resolved then entry // { resolved = "file:${fetchurl { url = entry.resolved; hash = entry.integrity; }}"; }
          else entry) packageLock.packages;
        addressOf = name: _: resolved."node_modules/${name}".resolved;
        direct = mapAttrs addressOf (package.dependencies // package.devDependencies);
      in
      fake "npm-deps" { } // { inherit direct resolved; };
    npmConfigHook = fake "npm-config-hook" { };
  };

  buildNpmPackage =
    { pname, version, src, nodejs, npmDeps, npmConfigHook, npmFlags, nativeBuildInputs, postInstall, doCheck, doInstallCheck, installCheckPhase, passthru, meta }:
    assert src;
    builtins.deepSeq [ npmDeps.direct npmDeps.resolved postInstall installCheckPhase (map toString nativeBuildInputs) "${nodejs}${npmConfigHook}" meta passthru ]
      (fake "${pname}-${version}" meta);

  pkgs = {
    inherit lib buildNpmPackage importNpmLock;
    stdenv.hostPlatform = { inherit system; };
    formats.toml = { }: { type = "toml"; generate = name: value: fake name { } // { text = builtins.toJSON value; }; };
    runCommand = name: env: script: fake name { } // { inherit script; };
    callPackage = file: overrides:
      let f = import file; in f (builtins.intersectAttrs (builtins.functionArgs f) pkgs // overrides);
  } // builtins.listToAttrs (map (name: { inherit name; value = fake name { mainProgram = name; }; }) [
    "bubblewrap" "busybox-sandbox-shell" "git" "makeWrapper" "nix" "nix-eval-jobs" "nodejs_22" "openssh" "postgresql_18" "xz"
  ]);

  # One module, with values for its own options, as the module system would put them together.
  evaluate = values:
    let
      module = import (root + "/nix/module.nix") { inherit lib pkgs; config = { services.ringmaster = own; nix.package = pkgs.nix; }; };
      content = if module.config.condition then module.config.content else { };
      options = module.options.services.ringmaster;
      unknown = filter (name: !(options ? ${name})) (attrNames values);
      given = if unknown == [ ] then mapAttrs (name: option: values.${name} or option.default) options else throw "no option ${toString unknown}";
      defaults = mapAttrs (_: one: one.value) content.services.ringmaster.settings;
      own = given // { settings = defaults // given.settings; };
      known = set: names: builtins.seq (map (name: if elem name names then name else throw "NixOS has no option ${name}") (attrNames set)) set;
      service = known content.systemd.services.ringmaster [ "description" "wantedBy" "wants" "after" "restartTriggers" "environment" "path" "serviceConfig" ];
    in
    {
      failed = map (one: one.message) (filter (one: !one.assertion) (known content [ "assertions" "environment" "services" "systemd" "users" ]).assertions);
      inherit (own) settings;
      secrets = builtins.head content.assertions;
      users = mapAttrs (_: user: known user [ "isSystemUser" "group" "home" ]) content.users.users;
      etc = mapAttrs (_: file: file.source.script) (known content.environment [ "etc" "systemPackages" ]).etc;
      inherit (service) wantedBy environment serviceConfig;
      path = map toString (service.path ++ service.restartTriggers ++ content.environment.systemPackages);
    };
in
{
  package = (pkgs.callPackage (root + "/nix/package.nix") { }).drvPath;
  lean = (pkgs.callPackage (root + "/nix/package.nix") { withPrograms = false; }).drvPath;
  module = evaluate {
    enable = true;
    settings = { server.public_url = "https://ci.example.org"; };
    credentials = { "github.private_key" = "/run/secrets/app.pem"; };
    environment = { APP_ID = "12345"; };
  };
  wrong = (evaluate { enable = true; credentials = { "github.private_keys" = "/run/secrets/app.pem"; }; }).failed;
  unreadable = (evaluate { enable = true; settings = { github.private_key_path = "/run/secrets/app.pem"; }; }).failed;
  elsewhere = (evaluate { enable = true; settings = { data_dir = "/srv/ci"; }; }).serviceConfig;
}
