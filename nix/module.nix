# NixOS: `services.ringmaster.enable = true` is a server that builds on its machine.
#
# `settings` is ringmaster.toml as docs/reference/configuration.md describes it, looked through when the system is
# built; secrets never belong there, since everybody reads the store: name their files in `credentials`.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.services.ringmaster;
  toml = pkgs.formats.toml { };
  written = toml.generate "ringmaster.toml" cfg.settings;
  # A mistake is found by the build instead of by the start.
  checked = pkgs.runCommand "ringmaster.toml" { } ''
    HOME=$TMPDIR ${lib.getExe cfg.package} --config ${written} config show >/dev/null
    cp ${written} $out
  '';
  # The settings that a file of systemd's credentials can give; a test keeps the list complete.
  secrets = [
    "database.url"
    "github.private_key"
    "github.webhook_secret"
    "notifications"
  ];
in
{
  options.services.ringmaster = {
    enable = lib.mkEnableOption "Ringmaster, continuous integration for Nix repositories on GitHub";

    package = lib.mkOption {
      type = lib.types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The program.";
    };

    settings = lib.mkOption {
      type = lib.types.submodule { freeformType = toml.type; };
      default = { };
      example = lib.literalExpression ''
        {
          server.public_url = "https://ci.example.org";
          builds.slots = 8;
        }
      '';
      description = "The configuration file, as docs/reference/configuration.md describes it.";
    };

    credentials = lib.mkOption {
      type = lib.types.attrsOf lib.types.str;
      default = { };
      example = {
        "github.private_key" = "/run/secrets/ringmaster-app.pem";
        "github.webhook_secret" = "/run/secrets/ringmaster-webhook";
      };
      description = "Files of settings that are secret. Only root has to be able to read them.";
    };

    environment = lib.mkOption {
      type = lib.types.attrsOf lib.types.str;
      default = { };
      example = {
        APP_ID = "12345";
      };
      description = "Environment variables of the server.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = lib.all (name: lib.elem name secrets) (lib.attrNames cfg.credentials);
        message = "services.ringmaster.credentials: there are ${lib.concatStringsSep ", " secrets}.";
      }
      {
        # The build that looks the configuration through could not read it.
        assertion = !(cfg.settings ? github.private_key_path);
        message = ''services.ringmaster.settings.github.private_key_path: name the file in credentials."github.private_key".'';
      }
    ];

    services.ringmaster.settings.data_dir = lib.mkDefault "/var/lib/ringmaster";

    # Commands find the server's database by it: `sudo -u ringmaster ringmaster builder list`.
    environment.etc."ringmaster/config.toml".source = checked;
    environment.systemPackages = [ cfg.package ];

    users.users.ringmaster = {
      isSystemUser = true;
      group = "ringmaster";
      home = "/var/lib/ringmaster";
    };
    users.groups.ringmaster = { };

    systemd.services.ringmaster = {
      description = "Ringmaster, CI for Nix";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [
        "network-online.target"
        "nix-daemon.socket"
        "postgresql.service"
      ];
      restartTriggers = [ checked ];
      environment = cfg.environment;
      # Nix as the machine has it goes before the one that the program brings.
      path = [ config.nix.package ];
      serviceConfig = {
        ExecStart = "${lib.getExe cfg.package} serve --config ${checked}";
        User = "ringmaster";
        Group = "ringmaster";
        StateDirectory = "ringmaster";
        StateDirectoryMode = "0700";
        LoadCredential = lib.mapAttrsToList (name: file: "${name}:${file}") cfg.credentials;
        Restart = "on-failure";
        RestartSec = 5;
        # SIGTERM gives what runs 30 seconds; evaluators and the database are ended by the server.
        KillMode = "mixed";
        TimeoutStopSec = 90;
        NoNewPrivileges = true;
        ProtectSystem = "strict";
        ReadWritePaths = [ cfg.settings.data_dir ];
        ProtectHome = true;
        PrivateTmp = true;
        # What hides parts of /proc is left out, and so is RestrictNamespaces: the jail of evaluations
        # mounts a /proc of its own in namespaces of its own, which the kernel then refuses.
        LockPersonality = true;
        RestrictSUIDSGID = true;
        UMask = "0027";
      };
    };
  };
}
